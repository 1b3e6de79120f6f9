//! [`OwnClaim`]: what this client knows of one claim of its own.

use std::sync::Mutex;

use leasehold_core::{Binding, Moment};
use tokio::sync::Mutex as AsyncMutex;

use crate::{keys::Keys, leases::Lease};

/// One claim. Its verbs take turns: a release comes after the claim that it undoes.
#[derive(Debug, Default)]
pub(crate) struct OwnClaim {
    pub(crate) turn: AsyncMutex<()>,
    pub(crate) known: Mutex<ClaimState>,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimState {
    /// What its place lives by.
    pub(crate) lease: Option<Lease>,
    /// What its delay lives by.
    pub(crate) delay: Option<Lease>,
    /// The keys of its lock.
    pub(crate) keys: Option<Keys>,
    /// The revision that made its place; 0 when that is not known.
    pub(crate) create: i64,
    /// It was answered `Granted`.
    pub(crate) held: bool,
    /// A request that names its leases may still arrive: nobody knows what became of it.
    pub(crate) in_doubt: bool,
    /// It outlives the client.
    pub(crate) is_detached: bool,
}

impl ClaimState {
    pub(crate) fn bind(&mut self, binding: Binding) {
        self.is_detached = binding == Binding::Ttl;
    }

    /// Whether nothing of it can be left at the store.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        let ended = |lease: &Option<Lease>| {
            lease.is_none_or(|lease| now > lease.until + std::time::Duration::from_secs(lease.lives))
        };
        ended(&self.lease) && ended(&self.delay)
    }
}
