//! [`KeptProposals`]: the tokens that a client proposes again for its next claims.

use std::collections::HashMap;

use crate::{FencingToken, LockName, store_kit::Locked};

/// The most locks that are remembered; then all are forgotten.
const NAMES_MAX: usize = 1024;
/// The longest time for which a proposal is kept, in the steps of a token.
const KEPT_US: u64 = 1_000_000;

/// The proposals of claims that were granted in one round. While one is kept, each grant adds one to the counters of all members
/// alike, so a member can grant by a token that it has reserved at the last release. Where members differ, a new proposal,
/// which is above all their counters, brings them together.
#[derive(Default, Debug)]
pub(super) struct KeptProposals(Locked<HashMap<LockName, FencingToken>>);

impl KeptProposals {
    /// The token to propose: the kept one, unless it has become too old.
    pub(super) fn choose(&self, name: &LockName, newest: FencingToken) -> FencingToken {
        let kept = self.0.lock().get(name).copied();
        let age_us = |kept: FencingToken| newest.get().checked_sub(kept.get());
        kept.filter(|kept| age_us(*kept).is_some_and(|age_us| age_us < KEPT_US)).unwrap_or(newest)
    }

    /// Keeps the proposal of a claim that was granted in one round.
    pub(super) fn keep(&self, name: &LockName, proposal: FencingToken) {
        let mut all = self.0.lock();
        if let Some(kept) = all.get_mut(name) {
            *kept = proposal;
            return;
        }
        if all.len() >= NAMES_MAX {
            all.clear();
        }
        all.insert(name.clone(), proposal);
    }

    /// Forgets it: members differ, or others have the lock.
    pub(super) fn forget(&self, name: &LockName) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_kept_for_a_second_and_until_it_is_forgotten() {
        let (kept, name) = (KeptProposals::default(), LockName::new("orders").unwrap());
        let at = |us| FencingToken::new((1 << 50) + us).unwrap();
        assert_eq!(kept.choose(&name, at(0)), at(0));
        assert_eq!(kept.choose(&name, at(1)), at(1), "that one was not granted");
        kept.keep(&name, at(1));
        assert_eq!(kept.choose(&name, at(1_000_000)), at(1));
        assert_eq!(kept.choose(&name, at(1_000_001)), at(1_000_001), "it has become too old");
        assert_eq!(kept.choose(&name, at(0)), at(0), "the calendar went back");
        kept.forget(&name);
        assert_eq!(kept.choose(&name, at(2)), at(2));
        for at_us in 0..3 * NAMES_MAX as u64 {
            kept.keep(&LockName::new(format!("lock {at_us}")).unwrap(), at(at_us));
        }
        assert!(kept.0.lock().len() <= NAMES_MAX);
    }
}
