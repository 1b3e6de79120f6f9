//! The engine in bad weather.

use super::*;
use crate::tests::Witness;

/// Faults by chance: a tenth of all operations lose their request or reply, come late, or hang.
fn bad_weather(env: &Env) -> impl Fn(u64, Verb) -> Fault + Send + Sync + 'static {
    let env = env.clone();
    move |_, _| match env.random() % 50 {
        0 => Fault::LoseRequest,
        1 => Fault::LoseReply,
        2 => Fault::Delay(env.jitter(TTL * 2)),
        3 => Fault::DelayReply(env.jitter(TTL * 2)),
        4 => Fault::Hang,
        _ => Fault::None,
    }
}

#[test]
fn in_bad_weather_no_two_leases_are_valid_at_once_and_nothing_is_left_behind() {
    let mut entered = 0;
    for seed in 0..300 {
        let bench = bench(seed);
        let witness = Arc::new(Witness::default());
        for index in 0..4 {
            let engine = bench.chaotic(bad_weather(&bench.world.env()));
            // A longer retry timeout than a ttl, so that late answers are judged and not only given up on.
            let terms = LockOptions { retry_timeout: TTL * 3, ..terms() };
            let terms = LockOptions { fair: index % 2 == 0, ..terms };
            bench.world.env().spawn(witness.clone().visit(engine, name(), terms));
        }
        bench.world.advance(TTL * 1000);
        assert!(
            bench.is_clean(0),
            "seed {seed}: {} tasks, {:?}",
            bench.world.tasks_alive(),
            bench.snapshot()
        );
        entered += witness.entered.load(std::sync::atomic::Ordering::Acquire);
    }
    assert!(entered > 300 * 8, "only {entered} entries: the weather was too bad to show anything");
}
