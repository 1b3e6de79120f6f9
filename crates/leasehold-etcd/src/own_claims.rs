//! [`OwnClaims`]: the claims that this client has made, and its knowledge of each.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{Binding, Claim, ClaimId, Mode, Moment, store_kit::Locked};
use tokio::sync::Mutex as AsyncMutex;

use crate::{keys::Keys, leases::ClaimLeases, reserved::TakenKey};

/// Number of recorded claims from which the table is searched for claims that are over.
const SWEEP_FROM: usize = 1024;

/// The table of a client's claims.
#[derive(Default)]
pub(crate) struct OwnClaims(Locked<HashMap<ClaimId, Arc<OwnClaim>>>);

/// One claim. Its verbs run one after the other: a release comes after the claim that it undoes.
#[derive(Debug)]
pub(crate) struct OwnClaim {
    pub(crate) keys: Keys,
    pub(crate) verbs: AsyncMutex<()>,
    pub(crate) state: Locked<ClaimState>,
}

/// The client's knowledge of a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimState {
    pub(crate) leases: Option<ClaimLeases>,
    /// The revision that created its place; 0 when it is not known.
    pub(crate) create: i64,
    /// The key of its place, once that is known.
    pub(crate) place: Option<Vec<u8>>,
    /// The key of this client that it has taken.
    pub(crate) client_key: Option<Arc<TakenKey>>,
    /// It waits in that place, with this mode.
    pub(crate) waits_as: Option<Mode>,
    /// It was answered `Granted`.
    pub(crate) held: bool,
    /// A request that names its leases may still arrive: its outcome is unknown.
    pub(crate) in_doubt: bool,
    /// It outlives the client.
    pub(crate) is_detached: bool,
}

impl OwnClaims {
    /// The entry of a claim, which is made if there is none.
    pub(crate) fn enter(&self, claim: &Claim, now: Moment) -> Arc<OwnClaim> {
        let mut claims = self.0.lock();
        if claims.len() >= SWEEP_FROM && claims.len().is_power_of_two() {
            claims.retain(|_, own| own.verbs.try_lock().is_err() || !own.state.lock().is_over(now));
        }
        let new = || {
            let (keys, verbs, state) = (Keys::of(&claim.name), AsyncMutex::default(), Locked::default());
            Arc::new(OwnClaim { keys, verbs, state })
        };
        claims.entry(claim.id).or_insert_with(new).clone()
    }

    /// The entry of a claim, if there is one.
    pub(crate) fn get(&self, id: ClaimId) -> Option<Arc<OwnClaim>> {
        self.0.lock().get(&id).cloned()
    }

    /// A copy of the state of a claim; the default for an unknown one.
    pub(crate) fn state(&self, id: ClaimId) -> ClaimState {
        self.get(id).map(|own| own.state.lock().clone()).unwrap_or_default()
    }

    pub(crate) fn remove(&self, id: ClaimId) {
        self.0.lock().remove(&id);
    }

    /// Removes and returns all entries.
    pub(crate) fn take_all(&self) -> Vec<(ClaimId, Arc<OwnClaim>)> {
        self.0.lock().drain().collect()
    }
}

impl ClaimState {
    /// A hold that outlives this client may be changed by another, which adopts it: its release compares then.
    pub(crate) fn bind(&mut self, binding: Binding) {
        self.is_detached = binding == Binding::Ttl;
        self.client_key.take_if(|_| binding == Binding::Ttl);
    }

    /// Whether the store has nothing of it any more.
    fn is_over(&self, now: Moment) -> bool {
        self.leases.iter().flat_map(ClaimLeases::all).all(|it| now > it.until + Duration::from_secs(it.lives))
    }
}
