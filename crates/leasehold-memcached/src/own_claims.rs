//! [`HoldCache`]: what this client remembers of its holds, to spare a look. Nothing is decided by it that the server does not
//! check.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use leasehold_core::{ClaimId, FencingToken, Moment};

/// One hold as it was when it was last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    pub(crate) cas: u64,
    /// Nobody else was in the document: it is released by deleting the item.
    pub(crate) sole: bool,
    /// It can be prolonged in place.
    pub(crate) in_place: bool,
    /// How long its lock-delay keeps the item beyond the hold, in seconds.
    pub(crate) delay: u64,
    pub(crate) fence: Option<FencingToken>,
    /// When it is over at the latest if nobody prolongs it, on our clock.
    pub(crate) until: Moment,
}

/// All holds of a client.
#[derive(Debug, Default)]
pub(crate) struct HoldCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    holds: HashMap<ClaimId, Hold>,
    /// How many there may be before those that are over are looked for.
    tidy_at: usize,
}

impl HoldCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: ClaimId) -> Option<Hold> {
        self.known().holds.get(&id).copied()
    }

    pub(crate) fn fence(&self, id: ClaimId) -> Option<FencingToken> {
        self.get(id)?.fence
    }

    pub(crate) fn note(&self, id: ClaimId, hold: Hold, now: Moment) {
        let mut known = self.known();
        if known.holds.len() >= known.tidy_at.max(256) {
            known.holds.retain(|_, hold| hold.until > now);
            known.tidy_at = known.holds.len() * 2;
        }
        known.holds.insert(id, hold);
    }

    pub(crate) fn forget(&self, id: ClaimId) {
        self.known().holds.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_in_the_end() {
        let holds = HoldCache::default();
        for number in 0..10_000u64 {
            let until = Moment::from_nanos(number + 10);
            let hold = Hold { cas: number, sole: true, in_place: false, delay: 0, fence: None, until };
            holds.note(ClaimId::from_bits(u128::from(number)), hold, Moment::from_nanos(number));
        }
        assert!(holds.known().holds.len() <= 512, "{}", holds.known().holds.len());
        assert!(holds.get(ClaimId::from_bits(9_999)).is_some());
    }
}
