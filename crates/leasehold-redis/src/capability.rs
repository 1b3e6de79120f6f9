//! The capability of each arrangement and dialect.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::dialect::redisson::TAKE_MAX;
use crate::options::{Dialect, Protocol, RedisOptions, Servers};

impl RedisOptions {
    /// The capability of a store with these options. No I/O.
    pub fn capability(&self) -> Capability {
        let is_native = self.dialect == Dialect::Native;
        let is_plain = matches!(self.dialect, Dialect::Plain { .. } | Dialect::Spring { .. });
        let permits = match self.dialect {
            Dialect::Native => u32::MAX,
            Dialect::Redisson => TAKE_MAX,
            Dialect::Plain { .. } | Dialect::Spring { .. } => 0,
        };
        let scheme = match self.servers {
            Servers::Single(_) => "redis",
            Servers::Sentinel { .. } => "redis+sentinel",
            Servers::Cluster(_) => "redis+cluster",
        };
        // Replicas mean failovers, and a failover may lose acknowledged writes.
        let exclusion = match self.servers {
            Servers::Single(_) if self.min_replicas == 0 => Exclusion::Lease,
            _ => Exclusion::Efficiency,
        };
        Capability {
            scheme,
            exclusion,
            commits: false,
            shared: !is_plain,
            permits,
            fifo: is_native,
            fencing: if is_plain { Fencing::None } else { Fencing::Durable },
            liveness: Liveness::Ttl,
            waiters: is_native,
            wakes: !self.is_shared && (is_native || self.protocol == Protocol::Newest),
            detach: true,
            notes: is_native,
            lists: true,
            lock_delay: is_native,
            votes: self.membership.is_some(),
            ttl_min: Duration::from_millis(50),
            ttl_max: Duration::from_secs(3600 * 24 * 365),
            drift: Drift::TWO_CLOCKS,
        }
    }
}
