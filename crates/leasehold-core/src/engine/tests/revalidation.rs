//! A store that says that holds may have been lost.

use super::*;
use crate::tests::Altered;

/// Without being told, the holder finds out at the next renewal, a third of the ttl after the grant; told, at once.
#[test]
fn an_upset_store_is_asked_for_all_leases_at_once() {
    for told in [false, true] {
        let bench = bench(1);
        let upset = Arc::new(Altered::new(bench.memory.client()));
        let engine = Engine::new(upset.clone(), bench.world.env());
        let hold = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::No, None));
        let hold = hold.unwrap().unwrap();
        bench.world.block_on(bench.memory.force_release(&name())).unwrap();
        if told {
            upset.revalidations.send_replace(1);
        }
        bench.world.advance(TTL / 100);
        assert_eq!(hold.check().is_err(), told);
    }
}
