//! A store that wakes for nothing.

use super::*;
use crate::tests::Altered;

struct Nag;

impl Wake for Nag {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Wakes for nothing on a busy machine: every fourth wait takes 2 ms.
struct BusyNag(Env, u32);

impl Wake for BusyNag {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.1 += 1;
            if self.1.is_multiple_of(4) {
                self.0.sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        })
    }
}

struct Broken;

impl Wake for Broken {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Error::new(ErrorKind::Unreachable, "it broke")) })
    }
}

fn subscribed(
    bench: &Bench,
    watch: impl Fn(u64) -> Option<Box<dyn Wake>> + Send + Sync + 'static,
) -> Arc<Chaos> {
    let store = Altered::watching(bench.memory.client(), watch);
    Arc::new(Chaos::new(Arc::new(store), bench.world.env(), |_, _| Fault::None))
}

#[test]
fn a_subscription_that_broke_is_made_anew_and_the_store_is_not_polled() {
    let bench = bench(1);
    let counted = subscribed(&bench, |number| (number == 0).then(|| Box::new(Broken) as Box<dyn Wake>));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 10, "{} operations in two seconds", counted.operations());
    drop(hold);
}

#[test]
fn a_store_that_wakes_for_nothing_is_not_asked_in_a_loop() {
    let bench = bench(1);
    let counted = subscribed(&bench, |_| Some(Box::new(Nag)));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 60, "{} operations in two seconds", counted.operations());
    drop(hold);
    // The same for a holder that waits for contention.
    let (before, env) = (counted.operations(), bench.world.env());
    bench.world.block_on(async {
        let hold = lock(&engine).await;
        let listening = env.until(env.now() + Duration::from_secs(2), hold.contended()).await;
        assert!(listening.is_none());
    });
    let asked = counted.operations() - before;
    assert!(asked < 60, "{asked} operations in two seconds");
}

#[test]
fn a_flood_on_a_busy_machine_is_a_flood() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = subscribed(&bench, move |_| Some(Box::new(BusyNag(env.clone(), 0))));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 80, "{} operations in two seconds", counted.operations());
    drop(hold);
}
