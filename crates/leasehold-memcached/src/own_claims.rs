//! [`HoldCache`]: the holds of this client as last seen, which saves reads. The server checks everything that is decided by
//! it.

use std::collections::HashMap;

use leasehold_core::{ClaimId, FencingToken, Moment, store_kit::Locked};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    pub(crate) cas: u64,
    /// Whether its document has no other entry, so that deleting the item releases it.
    pub(crate) sole: bool,
    pub(crate) in_place: bool,
    /// The lock-delay, which keeps the item beyond the hold, in seconds.
    pub(crate) delay: u64,
    pub(crate) fence: Option<FencingToken>,
    /// The latest end of the hold without another renewal, on the local clock.
    pub(crate) until: Moment,
}

#[derive(Debug, Default)]
pub(crate) struct HoldCache(Locked<State>);

#[derive(Debug, Default)]
struct State {
    holds: HashMap<ClaimId, Hold>,
    /// The number of holds from which expired ones are removed.
    sweep_at: usize,
}

impl HoldCache {
    pub(crate) fn get(&self, id: ClaimId) -> Option<Hold> {
        self.0.lock().holds.get(&id).copied()
    }

    pub(crate) fn insert(&self, id: ClaimId, hold: Hold, now: Moment) {
        let mut state = self.0.lock();
        if state.holds.len() >= state.sweep_at.max(256) {
            state.holds.retain(|_, hold| hold.until > now);
            state.sweep_at = state.holds.len() * 2;
        }
        state.holds.insert(id, hold);
    }

    pub(crate) fn forget(&self, id: ClaimId) {
        self.0.lock().holds.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_holds_are_removed_in_the_end() {
        let holds = HoldCache::default();
        for number in 0..10_000u64 {
            let until = Moment::from_nanos(number + 10);
            let hold = Hold { cas: number, sole: true, in_place: false, delay: 0, fence: None, until };
            holds.insert(ClaimId::from_bits(u128::from(number)), hold, Moment::from_nanos(number));
        }
        assert!(holds.0.lock().holds.len() <= 512, "{}", holds.0.lock().holds.len());
        assert!(holds.get(ClaimId::from_bits(9_999)).is_some());
    }
}
