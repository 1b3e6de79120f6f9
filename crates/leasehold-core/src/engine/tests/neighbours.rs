//! Tasks of one client that want the same lock: the store is not asked in vain, and nobody waits for its wake-up.

use super::*;
use crate::engine::fairness::OVERTAKEN_MAX;

const STEP: Duration = Duration::from_millis(1);

/// A client whose requests take a step each to arrive, and its store.
fn counted(bench: &Bench) -> (Engine, Arc<Chaos>) {
    let (memory, env) = (Arc::new(bench.memory.client()), bench.world.env());
    let store = Arc::new(Chaos::new(memory, env.clone(), |_, _| Fault::Delay(STEP)));
    (Engine::new(store.clone(), env), store)
}

#[test]
fn a_turn_costs_two_requests_and_one_round_trip() {
    let bench = bench(1);
    let (engine, store) = counted(&bench);
    let env = bench.world.env();
    bench.world.block_on(async {
        let first = lock(&engine).await;
        let turn = async || lock(&engine).await.release().await.unwrap();
        let first = async {
            // The second is the first that the client sees waiting: it asks, and subscribes.
            env.sleep(STEP * 2).await;
            (store.operations(), env.now(), first.release().await.unwrap())
        };
        let ((before, begin, _), ..) = tokio::join!(biased; first, turn(), turn(), turn(), turn());
        assert_eq!(store.operations() - before, 2 * 4 + 1);
        assert_eq!(env.now().since(begin), STEP * 5, "each claim follows the release before it at once");
    });
    assert!(bench.is_clean(1));
}

#[test]
fn a_neighbour_that_keeps_the_lock_is_waited_for_no_longer_than_a_waiter_may_be_overtaken() {
    let bench = bench(1);
    let (engine, _) = counted(&bench);
    let env = bench.world.env();
    let waiters = async || bench.memory.inspect(&name()).await.unwrap().waiters.len();
    bench.world.block_on(async {
        let first = lock(&engine).await;
        let second = async {
            let held = lock(&engine).await;
            env.sleep(OVERTAKEN_MAX / 2).await;
            assert_eq!(waiters().await, 0, "the store is not asked in vain");
            env.sleep(OVERTAKEN_MAX / 2 + STEP).await;
            assert_eq!(waiters().await, 1, "it queues in order");
            held.release().await.unwrap();
        };
        let third = async { lock(&engine).await.release().await.unwrap() };
        tokio::join!(biased; first.release(), second, third).0.unwrap();
    });
    assert!(bench.is_clean(1));
}

#[test]
fn a_short_wait_beside_a_neighbour_ends_with_the_word_of_the_store() {
    let bench = bench(1);
    let (engine, store) = counted(&bench);
    let env = bench.world.env();
    bench.world.block_on(async {
        let held = lock(&engine).await;
        let (name, options) = (name(), terms());
        let short = || engine.acquire(&name, Mode::Exclusive, &options, Wait::For(STEP * 20), None);
        let (begin, before) = (env.now(), store.operations());
        let (first, second) = tokio::join!(short(), short());
        assert!(first.unwrap().is_none() && second.unwrap().is_none());
        assert!(store.operations() > before && env.now().since(begin) <= STEP * 22);
        held.release().await.unwrap();
    });
    assert!(bench.is_clean(1));
}
