//! What Memcached can do.

use std::time::Duration;

use leasehold_core::{Capability, Drift, Exclusion, Fencing, Liveness};

use crate::{options::MemcachedOptions, server_info::THIRTY_DAYS};

impl MemcachedOptions {
    /// What a store of these options can do. No I/O.
    pub fn capability(&self) -> Capability {
        Capability {
            scheme: "memcached",
            exclusion: Exclusion::Efficiency,
            commits: false,
            shared: true,
            permits: true,
            fifo: true,
            // They grow across eviction and flushes too. Across a restart they do if the server's calendar did not go back,
            // which nobody checks.
            fencing: Fencing::UntilRestart,
            liveness: Liveness::Ttl,
            waiters: true,
            wakes: false,
            detach: true,
            notes: true,
            lock_delay: true,
            // What is evicted leaves no trace in how long the server has been there.
            votes: false,
            ttl_min: Duration::from_secs(2),
            ttl_max: Duration::from_secs(THIRTY_DAYS),
            // Its clock ticks once a second: what is stored for T seconds lives for more than T − 1.
            drift: Drift { fixed: Duration::from_secs(1), ..Drift::TWO_CLOCKS },
        }
    }
}
