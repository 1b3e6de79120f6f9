//! [`LockOptions`]: how a lock is held.

use std::{sync::Arc, time::Duration};

use crate::Binding;

/// Whether a lock is of use without fencing tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Require {
    /// Tokens are welcome and may be missing.
    #[default]
    Optional,
    /// Every grant must carry a token that survives the store's restart; a store without is refused at once.
    Durable,
}

/// On what terms a lock is held.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LockOptions {
    /// How long the store keeps the hold without news of us.
    pub ttl: Duration,
    /// Whether the watchdog renews the hold until it is given up.
    pub renew: bool,
    /// How long the watchdog renews at most: bounds a holder that hangs.
    pub hold_max: Option<Duration>,
    /// Whether to queue in order and be overtaken by nobody.
    pub fair: bool,
    /// How long the lock stays shut after an end without release.
    pub lock_delay: Duration,
    /// What the hold lives by besides its ttl.
    pub binding: Binding,
    /// Whether fencing tokens are required.
    pub fencing: Require,
    /// For how long a store that cannot be reached is asked again before the error is returned.
    pub patience: Duration,
    /// For people: shown to those who wait and by `inspect`.
    pub note: Option<Arc<str>>,
}

impl Default for LockOptions {
    /// 30 s, renewed until given up, barging, five seconds of patience.
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
    /// Sets how long the store keeps the hold without news of us.
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

    /// Queues in order, overtaken by nobody.
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

    /// Says who and why.
    #[must_use]
    pub fn note(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = Some(note.into());
        self
    }
}
