//! Proposals of members that differ.

use super::*;

/// Proposals follow the last grant while all members agree. Where the counter of one is above the others, a claim takes a second
/// round if that one is of its majority; the next proposal is above all of them, whichever members answer first.
#[test]
fn members_that_differ_cost_a_second_round_once() {
    let bench = Bench::new(11, 3);
    let (slow, asked) = (Arc::new(AtomicU64::new(2)), Arc::new(AtomicU64::new(0)));
    let quorum = bench.client(|at| {
        let (slow, asked) = (slow.clone(), asked.clone());
        move |_, verb| {
            asked.fetch_add(u64::from(verb == Verb::Claim), Ordering::AcqRel);
            // It answers after a second round of the others.
            let is_slow = at as u64 == slow.load(Ordering::Acquire);
            Fault::DelayReply(Duration::from_millis(if is_slow { 5 } else { 2 }))
        }
    });
    bench.world.block_on(async {
        quorum.0.identified().await.unwrap();
        let stray = bench.servers[0].client();
        let mut last = None;
        for (is_apart, slow_one, expected) in
            [(false, 2, 3), (false, 1, 3), (true, 2, 4), (false, 1, 3), (true, 0, 3), (false, 2, 3)]
        {
            if is_apart {
                for _ in 0..5 {
                    let claim = bench.claim();
                    granted(stray.claim(&claim).await);
                    stray.release(&claim).await.unwrap();
                }
            }
            slow.store(slow_one, Ordering::Release);
            asked.store(0, Ordering::Release);
            let claim = bench.claim();
            let grant = granted(quorum.claim(&claim).await);
            let asked = asked.load(Ordering::Acquire);
            assert_eq!(asked, expected, "apart: {is_apart}, slow: {slow_one}");
            assert!(grant.fence > last, "{:?} after {last:?}", grant.fence);
            last = grant.fence;
            quorum.release(&claim).await.unwrap();
        }
    });
}
