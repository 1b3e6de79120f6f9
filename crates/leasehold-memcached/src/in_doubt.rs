//! [`InDoubtClaims`]: claims that may still be delivered after they were given up.
//!
//! A request that was sent and not answered may arrive later, by a connection that is given up, and after the release that
//! was to undo it: a hold that nobody has would keep everybody out for its time to live. The server cannot be told to
//! refuse a claim, so whoever gave it up looks again for a while, and gives it back where it finds it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Moment, Outcome, Release, Result};

use crate::client::ClientState;

/// The first look comes after this long, each of the next after twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// At least so often is looked.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Nothing is delivered later than this.
const LATEST: Duration = Duration::from_secs(60);
/// More are not remembered.
const IN_DOUBT_MAX: usize = 4096;

/// The claims of a client that were sent and not answered, and until when they may be delivered.
#[derive(Debug, Default)]
pub(crate) struct InDoubtClaims(Mutex<HashMap<ClaimId, Moment>>);

impl InDoubtClaims {
    fn all(&self) -> MutexGuard<'_, HashMap<ClaimId, Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: ClaimId, now: Moment) {
        let mut all = self.all();
        if all.len() >= IN_DOUBT_MAX {
            all.retain(|_, until| *until > now);
        }
        if all.len() < IN_DOUBT_MAX {
            all.insert(id, now + LATEST);
        }
    }

    fn take(&self, id: ClaimId, now: Moment) -> Option<Moment> {
        self.all().remove(&id).filter(|until| *until > now)
    }
}

impl ClientState {
    /// Remembers a claim that may have been sent in vain.
    pub(crate) fn mark_in_doubt<T>(&self, claim: &Claim, result: &Result<T>) {
        if result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown) {
            self.in_doubt.note(claim.id, self.env.now());
        }
    }

    /// Releases, and sees to it that a claim in doubt stays released.
    pub(crate) async fn release_surely(self: &Arc<Self>, claim: &Claim) -> Result<Release> {
        let answer = self.release(claim).await?;
        if let Some(until) = self.in_doubt.take(claim.id, self.env.now()) {
            self.env.spawn(release_late_delivery(self.clone(), claim.clone(), until));
        }
        Ok(answer)
    }
}

async fn release_late_delivery(session: Arc<ClientState>, claim: Claim, until: Moment) {
    let mut pause = FIRST_PAUSE;
    // An error is not the end: the server may be away for a moment.
    while session.env.now() < until && session.refuse_closed().is_ok() {
        session.env.sleep(pause).await;
        if let Ok(Release::Released) = session.release(&claim).await {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_bounded_and_end() {
        let in_doubt = InDoubtClaims::default();
        let id = |number: usize| ClaimId::from_bits(number as u128);
        for number in 0..2 * IN_DOUBT_MAX {
            in_doubt.note(id(number), Moment::from_nanos(0));
        }
        assert_eq!(in_doubt.all().len(), IN_DOUBT_MAX);
        assert!(in_doubt.take(id(1), Moment::from_nanos(1)).is_some());
        assert!(in_doubt.take(id(1), Moment::from_nanos(1)).is_none(), "only once");
        assert!(in_doubt.take(id(2), Moment::from_nanos(0) + LATEST).is_none(), "it is over");
    }
}
