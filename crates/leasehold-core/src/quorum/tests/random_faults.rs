//! Many clients on members that fail at random.

use super::*;
use crate::tests::Witness;

/// Requests and replies are lost, late or never answered, and members forget everything now and then.
#[test]
fn in_bad_weather_no_two_leases_are_valid_at_once_and_nothing_is_left_behind() {
    let mut entered = 0;
    for seed in 0..200 {
        let bench = Bench::new(seed, if seed % 2 == 0 { 3 } else { 5 });
        let env = bench.world.env();
        let witness = Arc::new(Witness::default());
        for _ in 0..4 {
            let weather = |_: usize| {
                let env = env.clone();
                move |_: u64, _: Verb| match env.random() % 80 {
                    0 => Fault::LoseRequest,
                    1 => Fault::LoseReply,
                    2 => Fault::Delay(env.jitter(TTL * 2)),
                    3 => Fault::DelayReply(env.jitter(TTL * 2)),
                    4 => Fault::Hang,
                    _ => Fault::None,
                }
            };
            let engine = Engine::new(Arc::new(bench.client(weather)), env.clone());
            let options = LockOptions { ttl: TTL, retry_timeout: TTL * 3, ..LockOptions::default() };
            env.spawn(witness.clone().visit(engine, name(), options));
        }
        let (forgetful, dice) = (bench.servers.clone(), env.clone());
        env.spawn(async move {
            for _ in 0..6 {
                dice.sleep(dice.jitter(TTL * 6)).await;
                forgetful[(dice.random() % forgetful.len() as u128) as usize].forget();
            }
        });
        bench.world.advance(TTL * 1000);
        assert_eq!(bench.held(), 0, "seed {seed}");
        entered += witness.entered.load(Ordering::Acquire);
    }
    assert!(entered > 200 * 6, "only {entered} entries: the weather was too bad to show anything");
}
