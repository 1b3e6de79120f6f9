//! [`ReservedTokens`]: the fencing tokens that a server keeps for the next claims on one connection.

use std::collections::HashMap;

use leasehold_core::{FencingToken, LockName, store_kit::Locked};

use super::ServerTime;

/// The most locks that are remembered; then all are forgotten.
const NAMES_MAX: usize = 1024;
/// The longest time between a release and the next claim that makes the release after that one reserve a token.
const SOON_US: u64 = 200_000;
/// The time for which nothing is reserved where another client took the lock in the meantime.
const REST_US: u64 = 1_000_000;

/// Locks that were released here a moment ago. A reservation ends with its connection: another one may lead to a server that
/// knows nothing of it.
#[derive(Default, Debug)]
pub(crate) struct ReservedTokens(Locked<HashMap<LockName, Recent>>);

/// A lock that was released here. Times are of the server, in the steps of [`ServerTime::least_token`].
#[derive(Debug)]
struct Recent {
    released: u64,
    /// Whether it was claimed again soon after that.
    is_hot: bool,
    rests_until: u64,
    token: Option<FencingToken>,
    /// The last one that was given out: a counter that went back reserves it again.
    last: Option<FencingToken>,
}

impl ReservedTokens {
    /// The token for a claim: each is given out once, and none that has fallen behind the server's clock.
    pub(crate) fn take(&self, name: &LockName, time: ServerTime) -> Option<FencingToken> {
        let least = time.least_token();
        let mut all = self.0.lock();
        let recent = all.get_mut(name)?;
        recent.is_hot = least <= recent.released + SOON_US && least >= recent.rests_until;
        let token = recent.token.take().filter(|token| token.get() >= least && Some(*token) > recent.last);
        recent.last = recent.last.max(token);
        token
    }

    /// Whether a release is to reserve a token, as that of a lock which this client claims again and again.
    pub(crate) fn is_wanted(&self, name: &LockName, time: ServerTime) -> bool {
        let released = time.least_token();
        let mut all = self.0.lock();
        if let Some(recent) = all.get_mut(name) {
            recent.released = released;
            return std::mem::take(&mut recent.is_hot);
        }
        if all.len() >= NAMES_MAX {
            all.clear();
        }
        all.insert(name.clone(), Recent { released, is_hot: false, rests_until: 0, token: None, last: None });
        false
    }

    /// Keeps a token that a release has reserved.
    pub(crate) fn put(&self, name: &LockName, token: FencingToken) {
        if let Some(recent) = self.0.lock().get_mut(name) {
            recent.token = Some(token);
        }
    }

    /// Notes that another client took the lock in the meantime.
    pub(crate) fn note_others(&self, name: &LockName, time: ServerTime) {
        if let Some(recent) = self.0.lock().get_mut(name) {
            recent.rests_until = time.least_token() + REST_US;
            recent.is_hot = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> ServerTime {
        ServerTime((1 << 50) + ms * 1000 - (1 << 50) % 100_000)
    }

    #[test]
    fn a_token_is_for_one_claim_of_a_lock_that_is_claimed_again_and_again() {
        let (tokens, name) = (ReservedTokens::default(), LockName::new("orders").unwrap());
        let token = FencingToken::new(at(50).least_token() + 7).unwrap();
        assert_eq!(tokens.take(&name, at(0)), None);
        assert!(!tokens.is_wanted(&name, at(10)), "it was claimed once");
        assert_eq!(tokens.take(&name, at(20)), None);
        assert!(tokens.is_wanted(&name, at(30)), "it was claimed soon after it was released");
        tokens.put(&name, token);
        assert_eq!(tokens.take(&name, at(40)), Some(token));
        assert_eq!(tokens.take(&name, at(50)), None, "a token is given out once");
        assert!(tokens.is_wanted(&name, at(60)));
        tokens.put(&name, token);
        assert_eq!(tokens.take(&name, at(150)), None, "it has fallen behind the clock");
        assert!(tokens.is_wanted(&name, at(160)));
        assert_eq!(tokens.take(&name, at(900)), None);
        assert!(!tokens.is_wanted(&name, at(910)), "it was claimed late");
    }

    #[test]
    fn a_lock_of_others_rests_and_the_table_is_bounded() {
        let (tokens, name) = (ReservedTokens::default(), LockName::new("orders").unwrap());
        let claims_again = |ms| {
            tokens.take(&name, at(ms));
            tokens.is_wanted(&name, at(ms))
        };
        assert!(!claims_again(0));
        assert!(claims_again(10));
        tokens.note_others(&name, at(20));
        assert!(!claims_again(30));
        assert!(!claims_again(950));
        assert!(claims_again(1_050));
        for at_ms in 0..3 * NAMES_MAX {
            tokens.is_wanted(&LockName::new(format!("lock {at_ms}")).unwrap(), at(0));
        }
        assert!(tokens.0.lock().len() <= NAMES_MAX);
    }
}
