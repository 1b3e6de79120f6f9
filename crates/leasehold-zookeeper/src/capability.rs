//! The capability of ZooKeeper.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::{dialect::ZooKeeperDialect, options::ZooKeeperOptions};

impl ZooKeeperOptions {
    /// The capability of a store with these options, if the servers grant the session timeout. No I/O.
    pub fn capability(&self) -> Capability {
        of(self.dialect, self.session)
    }
}

/// The capability of a client with this session timeout.
pub(crate) fn of(dialect: ZooKeeperDialect, session: Duration) -> Capability {
    let is_ours = dialect == ZooKeeperDialect::Curator;
    Capability {
        scheme: "zookeeper",
        exclusion: Exclusion::Lease,
        commits: true,
        shared: is_ours,
        permits: if is_ours { u32::MAX } else { 0 },
        fifo: true,
        fencing: Fencing::Durable,
        liveness: Liveness::Session,
        waiters: true,
        wakes: true,
        detach: is_ours,
        notes: true,
        lists: true,
        lock_delay: is_ours,
        votes: true,
        ttl_min: Duration::from_millis(500).min(session),
        // A hold of a silent client ends with its session.
        ttl_max: session,
        // Holds end by a timer of the client, not by a clock of the servers: a tenth of a second for it to run.
        drift: Drift { per_mille: 10, fixed: Duration::from_millis(100) },
    }
}
