//! The capability of Memcached.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::{options::MemcachedOptions, server_info::THIRTY_DAYS};

impl MemcachedOptions {
    /// The capability of a store with these options. No I/O.
    pub fn capability(&self) -> Capability {
        Capability {
            scheme: "memcached",
            exclusion: Exclusion::Efficiency,
            commits: false,
            shared: true,
            permits: u32::MAX,
            fifo: true,
            // They grow across evictions and flushes, too. Across a restart they do unless the server's calendar went back,
            // which is not checked.
            fencing: Fencing::UntilRestart,
            liveness: Liveness::Ttl,
            waiters: true,
            wakes: false,
            detach: true,
            notes: true,
            lists: true,
            lock_delay: true,
            // An eviction leaves no trace in the server's uptime.
            votes: false,
            ttl_min: Duration::from_secs(2),
            ttl_max: Duration::from_secs(THIRTY_DAYS),
            // Its clock ticks once a second: an item stored for T seconds lives for more than T − 1.
            drift: Drift { fixed: Duration::from_secs(1), ..Drift::TWO_CLOCKS },
        }
    }
}
