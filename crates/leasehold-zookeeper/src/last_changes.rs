//! [`LastChanges`]: the time at which each node was last seen to change.
//!
//! No wall clock is involved. A hold lasts its time to live after the last change of its node: a client that has seen it
//! unchanged for that long, by its own clock, knows that it is over, and can only be late.

use std::{collections::HashMap, time::Duration};

use leasehold_core::{Drift, Moment, store_kit::Locked};

/// The number of nodes that are remembered. A forgotten node is believed for longer, which is safe.
const NODES_MAX: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
struct Seen {
    change: i64,
    first: Moment,
    last: Moment,
}

/// The nodes that a client has seen.
#[derive(Default, Debug)]
pub(crate) struct LastChanges(Locked<HashMap<String, Seen>>);

impl LastChanges {
    /// The rest of `ttl` for a node that is read now; `change` is the id of its last change.
    pub(crate) fn left(&self, path: &str, change: i64, ttl: Duration, now: Moment) -> Duration {
        let mut all = self.0.lock();
        if all.len() >= NODES_MAX && !all.contains_key(path) {
            // Keep the half that was seen last.
            let mut lasts: Vec<Moment> = all.values().map(|seen| seen.last).collect();
            lasts.sort_unstable();
            let middle = lasts[lasts.len() / 2];
            all.retain(|_, seen| seen.last > middle);
        }
        let fresh = Seen { change, first: now, last: now };
        let seen = all.entry(path.to_string()).or_insert(fresh);
        if seen.change != change {
            *seen = fresh;
        }
        seen.last = now;
        (seen.first + ttl + Drift::TWO_CLOCKS.of(ttl)).since(now)
    }

    /// Removes a node that is gone.
    pub(crate) fn forget(&self, path: &str) {
        self.0.lock().remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_the_first_sight_of_the_last_change() {
        let (sights, ttl) = (LastChanges::default(), Duration::from_secs(1));
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let whole = ttl + Drift::TWO_CLOCKS.of(ttl);
        assert_eq!(sights.left("/a", 7, ttl, at(0)), whole);
        assert_eq!(sights.left("/a", 7, ttl, at(400)), whole - Duration::from_millis(400));
        assert_eq!(sights.left("/a", 8, ttl, at(900)), whole);
        assert_eq!(sights.left("/a", 8, ttl, at(3000)), Duration::ZERO);
        sights.forget("/a");
        assert_eq!(sights.left("/a", 8, ttl, at(3000)), whole);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let sights = LastChanges::default();
        for node in 0..3 * NODES_MAX as u64 {
            sights.left(&node.to_string(), 1, Duration::from_secs(1), Moment::from_nanos(node));
        }
        assert!(sights.0.lock().len() <= NODES_MAX);
    }
}
