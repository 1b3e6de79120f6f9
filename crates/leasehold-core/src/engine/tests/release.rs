//! Releases that fail.

use super::*;

/// A lock of ten minutes whose release was lost is free within two seconds, not within a tenth of its ttl.
#[test]
fn a_release_that_was_lost_is_tried_again_soon_however_long_the_lease() {
    let bench = bench(1);
    let lossy = bench.chaotic(|number, verb| match (number, verb) {
        (0..4, Verb::Release) => Fault::LoseRequest,
        _ => Fault::None,
    });
    let long = LockOptions { ttl: TTL * 60, ..terms() };
    let hold = bench.world.block_on(lossy.acquire(&name(), Mode::Exclusive, &long, Wait::No, None));
    drop(hold.unwrap().unwrap());
    bench.world.settle();
    assert_eq!(bench.snapshot().holders.len(), 1, "the control: the first tries were lost");
    bench.world.advance(Duration::from_secs(2));
    assert!(bench.is_clean(1));
}
