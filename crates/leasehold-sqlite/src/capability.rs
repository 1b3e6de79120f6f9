//! The capability of this store.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::options::SqliteOptions;

/// Every feature of the trait. The bounds of the time to live are choices: below 50 ms an ordinary pause of the scheduler would end a
/// lease, and a hold of more than 30 days outlives the reboots that updates need.
pub(crate) const CAPABILITY: Capability = Capability {
    scheme: "sqlite",
    exclusion: Exclusion::Lease,
    commits: false,
    shared: true,
    permits: u32::MAX,
    fifo: true,
    fencing: Fencing::Durable,
    liveness: Liveness::Process,
    waiters: true,
    wakes: true,
    detach: true,
    notes: true,
    lists: true,
    lock_delay: true,
    votes: true,
    ttl_min: Duration::from_millis(50),
    ttl_max: TTL_MAX,
    drift: Drift::SAME_CLOCK,
};

impl SqliteOptions {
    /// The capability of a store with these options. No I/O.
    pub fn capability(&self) -> Capability {
        CAPABILITY
    }
}

/// The longest time to live.
pub(crate) const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
