//! [`KeptProposals`]: the tokens that a client proposes for its next claims.

use std::collections::HashMap;

use crate::{FencingToken, LockName, store_kit::Locked};

/// The most locks that are remembered; then all are forgotten.
const NAMES_MAX: usize = 1024;
/// The longest time for which proposals follow the last grant instead of the calendar, in the steps of a token.
const KEPT_US: u64 = 200_000;

/// The proposals for locks whose last claim was granted with one token by all members: the one after that. So each grant adds one to the
/// counters of all members alike, and a member can grant by a token that it has reserved at the release. Where members
/// differ, a new proposal, which is above all their counters, brings them together.
#[derive(Default, Debug)]
pub(super) struct KeptProposals(Locked<HashMap<LockName, Kept>>);

#[derive(Debug)]
struct Kept {
    /// The last proposal by the calendar.
    calendar: FencingToken,
    next: FencingToken,
}

impl KeptProposals {
    /// The token to propose, of which that by the calendar is the newest: the one after the last grant, if it is at least `least`
    /// and the calendar has moved little since.
    pub(super) fn choose(&self, name: &LockName, newest: FencingToken, least: u64) -> FencingToken {
        let all = self.0.lock();
        let is_good = |kept: &&Kept| {
            let age_us = newest.get().checked_sub(kept.calendar.get());
            kept.next.get() >= least && age_us.is_some_and(|age_us| age_us < KEPT_US)
        };
        all.get(name).filter(is_good).map_or(newest, |kept| kept.next)
    }

    /// Notes a claim that all members have granted with one token.
    pub(super) fn keep(&self, name: &LockName, proposal: FencingToken, granted: FencingToken) {
        let mut all = self.0.lock();
        let Ok(next) = FencingToken::new(granted.get() + 1) else { return };
        if let Some(kept) = all.get_mut(name) {
            if kept.next != proposal {
                kept.calendar = proposal;
            }
            kept.next = next;
            return;
        }
        if all.len() >= NAMES_MAX {
            all.clear();
        }
        all.insert(name.clone(), Kept { calendar: proposal, next });
    }

    /// Forgets a lock: its members may differ, or others have it.
    pub(super) fn forget(&self, name: &LockName) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> FencingToken {
        FencingToken::new((1 << 50) + us).unwrap()
    }

    #[test]
    fn proposals_follow_the_last_grant_for_a_moment() {
        let (kept, name) = (KeptProposals::default(), LockName::new("orders").unwrap());
        let choose = |newest| kept.choose(&name, at(newest), 0);
        assert_eq!(choose(7), at(7));
        kept.keep(&name, at(7), at(7));
        assert_eq!(choose(100), at(8));
        kept.keep(&name, at(8), at(9));
        assert_eq!(choose(200_006), at(10));
        assert_eq!(choose(200_007), at(200_007), "the calendar has moved on since");
        assert_eq!(choose(6), at(6), "the calendar went back");
        assert_eq!(kept.choose(&name, at(100), at(11).get()), at(100), "a member gives no such token");
        kept.keep(&name, at(200_007), at(200_007));
        assert_eq!(choose(400_006), at(200_008));
    }

    #[test]
    fn a_lock_is_forgotten_and_the_table_is_bounded() {
        let (kept, name) = (KeptProposals::default(), LockName::new("orders").unwrap());
        kept.keep(&name, at(0), at(0));
        kept.forget(&name);
        assert_eq!(kept.choose(&name, at(5), 0), at(5));
        for at_us in 0..3 * NAMES_MAX as u64 {
            kept.keep(&LockName::new(format!("lock {at_us}")).unwrap(), at(at_us), at(at_us));
        }
        assert!(kept.0.lock().len() <= NAMES_MAX);
    }
}
