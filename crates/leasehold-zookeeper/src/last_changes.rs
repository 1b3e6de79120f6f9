//! [`LastChanges`]: since when a node has looked as it does.
//!
//! Nobody's wall clock is asked. A hold lasts its time to live after the last change of its node; whoever has seen it
//! unchanged for that long, by a clock of its own, knows that it is over, and can only be late.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{Drift, Moment};

/// More nodes than these are not remembered; what is seen anew is believed for longer, which is safe.
const NODES_MAX: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
struct WatchTarget {
    change: i64,
    first: Moment,
    last: Moment,
}

/// What a client has seen.
#[derive(Default, Debug)]
pub(crate) struct LastChanges(Mutex<HashMap<String, WatchTarget>>);

impl LastChanges {
    fn all(&self) -> MutexGuard<'_, HashMap<String, WatchTarget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is left of `ttl` for a node that is seen now, `change` being the number of its last change.
    pub(crate) fn left(&self, path: &str, change: i64, ttl: Duration, now: Moment) -> Duration {
        let mut all = self.all();
        if all.len() >= NODES_MAX && !all.contains_key(path) {
            // The half that was seen last.
            let mut lasts: Vec<Moment> = all.values().map(|sight| sight.last).collect();
            lasts.sort_unstable();
            let middle = lasts[lasts.len() / 2];
            all.retain(|_, sight| sight.last > middle);
        }
        let fresh = WatchTarget { change, first: now, last: now };
        let sight = all.entry(path.to_string()).or_insert(fresh);
        if sight.change != change {
            *sight = fresh;
        }
        sight.last = now;
        (sight.first + ttl + Drift::TWO_CLOCKS.of(ttl)).since(now)
    }

    /// The node is gone.
    pub(crate) fn forget(&self, path: &str) {
        self.all().remove(path);
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
        assert!(sights.all().len() <= NODES_MAX);
    }
}
