//! [`LockOptions`]: how a lock is held.

use std::{sync::Arc, time::Duration};

use crate::Binding;

/// The requirement of fencing tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Require {
    /// Tokens may be missing.
    #[default]
    Optional,
    /// Every grant must carry a token that survives the store's restart; a store without is refused at once.
    Durable,
}

/// The options of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LockOptions {
    /// How long the store keeps the hold without a renewal.
    pub ttl: Duration,
    /// Whether the watchdog renews the hold until its release.
    pub renew: bool,
    /// How long the watchdog renews at most: bounds a holder that hangs.
    pub hold_max: Option<Duration>,
    /// Whether to queue in order, without being overtaken.
    pub fair: bool,
    /// How long the lock stays shut after an end without release.
    pub lock_delay: Duration,
    /// The end of the hold besides its ttl.
    pub binding: Binding,
    /// Whether fencing tokens are required.
    pub fencing: Require,
    /// For how long a store that cannot be reached is asked again before the error is returned.
    pub patience: Duration,
    /// Text for people: shown to waiters and by `inspect`.
    pub note: Option<Arc<str>>,
}

impl Default for LockOptions {
    /// 30 s, renewed until release, barging, five seconds of patience.
    fn default() -> Self {
        LockOptions {
            ttl: Duration::from_secs(30),
            renew: true,
            hold_max: None,
            fair: false,
            lock_delay: Duration::ZERO,
            binding: Binding::Client,
            fencing: Require::Optional,
            patience: Duration::from_secs(5),
            note: None,
        }
    }
}

impl LockOptions {
    /// Sets how long the store keeps the hold without a renewal.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Leaves the hold to end at its first deadline.
    #[must_use]
    pub fn without_renewal(mut self) -> Self {
        self.renew = false;
        self
    }

    /// Bounds how long the watchdog renews.
    #[must_use]
    pub fn hold_max(mut self, hold_max: Duration) -> Self {
        self.hold_max = Some(hold_max);
        self
    }

    /// Queues in order, without being overtaken.
    #[must_use]
    pub fn fair(mut self) -> Self {
        self.fair = true;
        self
    }

    /// Keeps the lock shut for a while after an end without release.
    #[must_use]
    pub fn lock_delay(mut self, lock_delay: Duration) -> Self {
        self.lock_delay = lock_delay;
        self
    }

    /// Lets the hold outlive its client.
    #[must_use]
    pub fn outlives_client(mut self) -> Self {
        self.binding = Binding::Ttl;
        self
    }

    /// Refuses a store whose tokens do not survive its restart.
    #[must_use]
    pub fn require_fencing(mut self) -> Self {
        self.fencing = Require::Durable;
        self
    }

    /// Sets for how long a failing store is asked again.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets a text for people.
    #[must_use]
    pub fn note(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = Some(note.into());
        self
    }
}
