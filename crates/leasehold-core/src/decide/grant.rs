//! The grant rule: the holders of an ordered queue, for every store that can read its queue.

use crate::{Mode, Queueing};

/// One contender, as the rule sees it. Contenders are in order of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueEntry {
    /// How it shares.
    pub mode: Mode,
    /// Whether it may be overtaken.
    pub queueing: Queueing,
    /// Whether it holds the lock (or keeps it shut).
    pub holds: bool,
}

/// The answer of the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may hold now.
    Granted,
    /// It is kept out at least until this contender (an index) leaves.
    WaitFor(usize),
    /// It is kept out by several contenders, and any that leaves may let it in. For permits one predecessor is not enough
    /// to watch: with two places and a queue of `[a, b, me]`, either `a` or `b` leaving frees one.
    WaitForAny,
}

/// Whether the contender at `at` may hold the lock.
///
/// Holders keep it out, and waiters ahead of it that may not be overtaken: `Fifo` claims, and for a shared claim every
/// waiting exclusive one (else readers would starve writers).
pub fn grant(queue: &[QueueEntry], at: usize) -> Verdict {
    let me = queue[at];
    let mut counts = (0..queue.len()).filter(|&other| counts_against(queue, other, at));
    match me.mode {
        Mode::Exclusive => last_of(counts),
        Mode::Shared => last_of(counts.filter(|&other| queue[other].mode != Mode::Shared)),
        Mode::Permits { take, of } => {
            let used: u64 = counts.by_ref().map(|other| weight(queue[other].mode, of)).sum();
            if used + u64::from(take) <= u64::from(of) { Verdict::Granted } else { Verdict::WaitForAny }
        }
    }
}

/// The waiters that would be granted now, in order, each counted as a holder for the ones behind it.
pub fn runnable(queue: &[QueueEntry]) -> Vec<usize> {
    let mut queue = queue.to_vec();
    let mut chosen = Vec::new();
    for at in 0..queue.len() {
        if !queue[at].holds && grant(&queue, at) == Verdict::Granted {
            queue[at].holds = true;
            chosen.push(at);
        }
    }
    chosen
}

/// The waiters that are kept out, in order, without the ones that would be granted now.
pub fn kept_out(queue: &[QueueEntry]) -> Vec<usize> {
    let runnable = runnable(queue);
    (0..queue.len()).filter(|at| !queue[*at].holds && !runnable.contains(at)).collect()
}

fn counts_against(queue: &[QueueEntry], other: usize, me: usize) -> bool {
    let theirs = queue[other];
    let keeps_its_place = theirs.queueing == Queueing::Fifo
        || (theirs.mode == Mode::Exclusive && queue[me].mode == Mode::Shared);
    other != me && (theirs.holds || (other < me && keeps_its_place))
}

fn last_of(blockers: impl Iterator<Item = usize>) -> Verdict {
    let mut blockers = blockers.peekable();
    let Some(first) = blockers.next() else { return Verdict::Granted };
    match blockers.last() {
        None => Verdict::WaitFor(first),
        Some(_) => Verdict::WaitForAny,
    }
}

/// A lock's claim on a semaphore's name fills it; different limits never mix (see `LockState`).
fn weight(mode: Mode, of: u32) -> u64 {
    match mode {
        Mode::Permits { take, .. } => u64::from(take),
        Mode::Exclusive | Mode::Shared => u64::from(of),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(mode: Mode, queueing: Queueing, holds: bool) -> QueueEntry {
        QueueEntry { mode, queueing, holds }
    }

    fn fifo(mode: Mode) -> QueueEntry {
        place(mode, Queueing::Fifo, false)
    }

    fn verdicts(queue: &[QueueEntry]) -> Vec<Verdict> {
        (0..queue.len()).map(|at| grant(queue, at)).collect()
    }

    #[test]
    fn a_fair_queue_of_readers_and_writers() {
        use Verdict::{Granted, WaitFor, WaitForAny};
        let queue = [Mode::Shared, Mode::Exclusive, Mode::Shared, Mode::Exclusive, Mode::Shared].map(fifo);
        assert_eq!(verdicts(&queue), [Granted, WaitFor(0), WaitFor(1), WaitForAny, WaitForAny]);
    }

    #[test]
    fn permits_wait_for_any_of_those_ahead() {
        let permits = |take| fifo(Mode::Permits { take, of: 3 });
        let queue = [permits(1), permits(2), permits(1)];
        assert_eq!(verdicts(&queue), [Verdict::Granted, Verdict::Granted, Verdict::WaitForAny]);
    }

    #[test]
    fn a_small_take_does_not_overtake_a_large_one_that_queues() {
        let permits = |take, holds| place(Mode::Permits { take, of: 3 }, Queueing::Fifo, holds);
        let queue = [permits(2, true), permits(2, false), permits(1, false)];
        assert_eq!(grant(&queue, 2), Verdict::WaitForAny);
        let barging = place(Mode::Permits { take: 2, of: 3 }, Queueing::Barging, false);
        assert_eq!(grant(&[queue[0], barging, queue[2]], 2), Verdict::Granted);
    }

    #[test]
    fn barging_overtakes_barging_but_never_fifo_and_readers_never_overtake_a_writer() {
        let waiting = |mode, queueing| place(mode, queueing, false);
        let barger = waiting(Mode::Exclusive, Queueing::Barging);
        assert_eq!(grant(&[barger, barger], 1), Verdict::Granted);
        assert_eq!(grant(&[waiting(Mode::Exclusive, Queueing::Fifo), barger], 1), Verdict::WaitFor(0));
        assert_eq!(grant(&[barger, waiting(Mode::Shared, Queueing::No)], 1), Verdict::WaitFor(0));
    }

    #[test]
    fn only_one_exclusive_waiter_is_runnable() {
        let barger = place(Mode::Exclusive, Queueing::Barging, false);
        assert_eq!(runnable(&[barger, barger, barger]), [0]);
        let reader = fifo(Mode::Shared);
        assert_eq!(runnable(&[reader, reader, fifo(Mode::Exclusive), reader]), [0, 1]);
    }

    #[test]
    fn who_is_about_to_come_in_is_not_kept_out() {
        let holder = place(Mode::Shared, Queueing::Fifo, true);
        assert_eq!(kept_out(&[holder, fifo(Mode::Shared)]), [] as [usize; 0]);
        assert_eq!(
            kept_out(&[holder, fifo(Mode::Shared), fifo(Mode::Exclusive), fifo(Mode::Shared)]),
            [2, 3]
        );
        let permits = |take, holds| place(Mode::Permits { take, of: 3 }, Queueing::Fifo, holds);
        assert_eq!(kept_out(&[permits(2, true), permits(1, false), permits(1, false)]), [2]);
    }

    fn places() -> impl Strategy<Value = Vec<QueueEntry>> {
        let mode = prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared),];
        let limited = (1u32..=3).prop_map(|take| Mode::Permits { take, of: 3 });
        let queueing = prop_oneof![Just(Queueing::No), Just(Queueing::Barging), Just(Queueing::Fifo)];
        let lock = proptest::collection::vec((mode, queueing.clone()), 0..8);
        let semaphore = proptest::collection::vec((limited, queueing), 0..8);
        prop_oneof![lock, semaphore]
            .prop_map(|all| all.into_iter().map(|(mode, queueing)| place(mode, queueing, false)).collect())
    }

    fn compatible(holders: &[QueueEntry]) -> bool {
        let exclusive = holders.iter().filter(|place| place.mode == Mode::Exclusive).count();
        let used: u32 = holders
            .iter()
            .map(|place| if let Mode::Permits { take, .. } = place.mode { take } else { 0 })
            .sum();
        used <= 3 && (exclusive == 0 || holders.len() == 1)
    }

    proptest! {
        /// Whether a waiter is kept out does not depend on the waiters that let themselves be overtaken.
        #[test]
        fn whether_somebody_is_kept_out_is_the_same_for_all_who_queue(queue in places(), held in 0usize..8) {
            let mut queue = queue;
            for at in runnable(&queue).into_iter().take(held) {
                queue[at].holds = true;
            }
            queue.sort_by_key(|place| !place.holds);
            let fair: Vec<_> = queue.iter().map(|it| QueueEntry { queueing: Queueing::Fifo, ..*it }).collect();
            prop_assert_eq!(kept_out(&queue).is_empty(), kept_out(&fair).is_empty());
            prop_assert_eq!(kept_out(&queue).into_iter().min(), kept_out(&fair).into_iter().min());
        }

        #[test]
        fn the_next_holders_are_compatible_and_there_is_always_one(queue in places()) {
            let chosen = runnable(&queue);
            let holders: Vec<_> = chosen.iter().map(|&at| queue[at]).collect();
            prop_assert!(compatible(&holders), "{:?}", holders);
            prop_assert_eq!(chosen.is_empty(), queue.is_empty(), "a free lock is never refused to all");
        }

        #[test]
        fn a_fifo_claim_is_never_overtaken_by_one_it_conflicts_with(queue in places()) {
            let chosen = runnable(&queue);
            for (at, place) in queue.iter().enumerate() {
                if place.queueing == Queueing::Fifo && !chosen.contains(&at) && place.mode == Mode::Exclusive {
                    prop_assert!(chosen.iter().all(|&other| other < at), "{:?} {:?}", queue, chosen);
                }
            }
        }
    }
}
