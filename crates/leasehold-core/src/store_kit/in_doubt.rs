//! [`InDoubt`]: claims with a request that may still arrive.

use std::collections::HashMap;

use super::Locked;
use crate::{ClaimId, Moment, Outcome, Result};

/// A bounded table of claims in doubt, each until a moment. A request that was sent and not answered may be applied
/// later, even after the release that was to undo it.
#[derive(Debug)]
pub struct InDoubt {
    claims: Locked<HashMap<ClaimId, Moment>>,
    max: usize,
}

impl InDoubt {
    /// An empty table of at most `max` claims. When it is full, further claims are not recorded.
    pub fn new(max: usize) -> Self {
        InDoubt { claims: Locked::default(), max }
    }

    /// Records that a request of the claim may be applied until `until`.
    pub fn mark(&self, id: ClaimId, until: Moment, now: Moment) {
        let mut claims = self.claims.lock();
        if claims.len() >= self.max {
            claims.retain(|_, until| *until > now);
        }
        if claims.len() < self.max || claims.contains_key(&id) {
            claims.insert(id, until);
        }
    }

    /// The same if the outcome of a request is unknown.
    pub fn mark_unknown<T>(&self, id: ClaimId, result: &Result<T>, until: Moment, now: Moment) {
        if result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown) {
            self.mark(id, until, now);
        }
    }

    /// Until when the claim is in doubt, if it still is.
    pub fn until(&self, id: ClaimId, now: Moment) -> Option<Moment> {
        let mut claims = self.claims.lock();
        let until = claims.get(&id).copied()?;
        if until <= now {
            claims.remove(&id);
        }
        (until > now).then_some(until)
    }

    /// The same, and removes the claim.
    pub fn take(&self, id: ClaimId, now: Moment) -> Option<Moment> {
        self.claims.lock().remove(&id).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn it_is_bounded_and_ends() {
        let in_doubt = InDoubt::new(4);
        let (id, at) = (|number: u8| ClaimId::from_bits(u128::from(number)), Moment::from_nanos);
        for number in 0..8 {
            in_doubt.mark(id(number), at(10), at(0));
        }
        assert_eq!(in_doubt.claims.lock().len(), 4);
        in_doubt.mark(id(3), at(20), at(0));
        assert_eq!(in_doubt.until(id(3), at(10)), Some(at(20)));
        assert_eq!(in_doubt.take(id(1), at(1)), Some(at(10)));
        assert_eq!(in_doubt.take(id(1), at(1)), None, "only once");
        assert_eq!(in_doubt.until(id(2), at(10)), None, "it is over");
        assert_eq!(in_doubt.take(id(3), at(10)), Some(at(20)));
        in_doubt.mark(id(5), at(30), at(10));
        in_doubt.mark(id(6), at(30), at(10));
        assert!(in_doubt.until(id(6), at(10)).is_some(), "those that are over make room");
    }

    #[test]
    fn an_answer_leaves_no_doubt() {
        let (in_doubt, at) = (InDoubt::new(4), Moment::from_nanos);
        let failed = || Error::new(ErrorKind::TimedOut, "x");
        for (bits, result) in [(1, Ok(())), (2, Err(failed())), (3, Err(failed().unknown()))] {
            let id = ClaimId::from_bits(bits);
            in_doubt.mark_unknown(id, &result, at(10), at(0));
            assert_eq!(in_doubt.until(id, at(1)).is_some(), bits == 3);
        }
    }
}
