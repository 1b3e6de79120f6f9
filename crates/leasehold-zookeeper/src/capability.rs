//! What ZooKeeper can do.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::{node_name::Dialect, options::ZooKeeperOptions};

impl ZooKeeperOptions {
    /// What a store of these options can do, if the servers agree to the session. No I/O.
    pub fn capability(&self) -> Capability {
        of(self.dialect, self.session)
    }
}

/// What a client can do whose session lasts so long without news.
pub(crate) fn of(dialect: Dialect, session: Duration) -> Capability {
    let is_ours = dialect == Dialect::Curator;
    Capability {
        scheme: "zookeeper",
        exclusion: Exclusion::Lease,
        commits: true,
        shared: is_ours,
        permits: is_ours,
        fifo: true,
        fencing: Fencing::Durable,
        liveness: Liveness::Session,
        waiters: true,
        wakes: true,
        detach: is_ours,
        notes: true,
        lock_delay: is_ours,
        votes: true,
        ttl_min: Duration::from_millis(500).min(session),
        // Longer than its session no hold of a client lasts, when the client falls silent.
        ttl_max: session,
        // Holds end by the timer of a thread, not by a clock of the servers: a tenth of a second for it to run.
        drift: Drift { per_mille: 10, fixed: Duration::from_millis(100) },
    }
}
