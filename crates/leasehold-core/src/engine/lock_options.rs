//! [`LockOptions`]: how a lock is held.

use std::{sync::Arc, time::Duration};

use crate::Binding;

/// The options of a lock. Those that are not named come from [`LockOptions::default`]:
///
/// ```
/// use std::time::Duration;
/// let options = leasehold_core::LockOptions { ttl: Duration::from_secs(10), fair: true, ..Default::default() };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockOptions {
    /// How long the store keeps the hold without a renewal.
    pub ttl: Duration,
    /// Whether the watchdog renews the hold until its release.
    pub renew: bool,
    /// How long the watchdog renews at most: bounds a holder that hangs.
    pub max_hold: Option<Duration>,
    /// Whether to queue in order, without being overtaken.
    pub fair: bool,
    /// How long the lock stays shut after an end without release.
    pub lock_delay: Duration,
    /// The end of the hold besides its ttl.
    pub binding: Binding,
    /// Whether a store whose fencing tokens do not survive its restart is refused.
    pub require_fencing: bool,
    /// For how long a store that cannot be reached is asked again before the error is returned.
    pub retry_timeout: Duration,
    /// Text for people: shown to waiters and by `inspect`.
    pub note: Option<Arc<str>>,
}

impl Default for LockOptions {
    /// 30 s, renewed until release, barging, five seconds of retries.
    fn default() -> Self {
        LockOptions {
            ttl: Duration::from_secs(30),
            renew: true,
            max_hold: None,
            fair: false,
            lock_delay: Duration::ZERO,
            binding: Binding::Client,
            require_fencing: false,
            retry_timeout: Duration::from_secs(5),
            note: None,
        }
    }
}
