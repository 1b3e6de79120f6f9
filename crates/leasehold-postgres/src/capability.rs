//! The capability of the PostgreSQL store.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::options::PostgresOptions;

impl PostgresOptions {
    /// The capability of a store with these options. No I/O.
    pub fn capability(&self) -> Capability {
        let native = Capability {
            scheme: "postgres",
            exclusion: Exclusion::Lease,
            commits: true,
            shared: true,
            permits: u32::MAX,
            fifo: true,
            fencing: Fencing::Durable,
            liveness: Liveness::Ttl,
            waiters: true,
            wakes: !self.is_pooled,
            detach: true,
            notes: true,
            lists: true,
            lock_delay: true,
            votes: true,
            // A commit on a busy disk takes a good part of a shorter lease.
            ttl_min: Duration::from_millis(100),
            ttl_max: Duration::from_secs(3600 * 24 * 365),
            drift: Drift::TWO_CLOCKS,
        };
        self.dialect.capability(native)
    }
}
