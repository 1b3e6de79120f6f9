//! The capability of the etcd store.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::options::EtcdOptions;

impl EtcdOptions {
    /// The capability of a store with these options. No I/O.
    pub fn capability(&self) -> Capability {
        Capability {
            scheme: "etcd",
            exclusion: Exclusion::Lease,
            commits: true,
            shared: true,
            permits: u32::MAX,
            fifo: true,
            fencing: Fencing::Durable,
            // A client that is closed revokes its leases; those of a dead client end with the time to live.
            liveness: Liveness::Session,
            waiters: true,
            wakes: true,
            detach: true,
            notes: true,
            lists: true,
            lock_delay: true,
            votes: true,
            ttl_min: self.ttl_min,
            ttl_max: Duration::from_secs(3600 * 24 * 365),
            drift: Drift::TWO_CLOCKS,
        }
    }
}
