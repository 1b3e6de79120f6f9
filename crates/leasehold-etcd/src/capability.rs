//! What etcd can do.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::options::EtcdOptions;

impl EtcdOptions {
    /// What a store of these options can do. No I/O.
    pub fn capability(&self) -> Capability {
        Capability {
            scheme: "etcd",
            exclusion: Exclusion::Lease,
            commits: true,
            shared: true,
            permits: true,
            fifo: true,
            fencing: Fencing::Durable,
            // A client that ends in order takes its leases with it; of one that dies, they end with the time to live.
            liveness: Liveness::Session,
            waiters: true,
            wakes: true,
            detach: true,
            notes: true,
            lock_delay: true,
            votes: true,
            ttl_min: self.ttl_min,
            ttl_max: Duration::from_secs(3600 * 24 * 365),
            drift: Drift::TWO_CLOCKS,
        }
    }
}
