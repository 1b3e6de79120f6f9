//! [`Event`]: one step of a worker. Workers write them to stdout as JSON lines.

use leasehold::env::Env;
use serde::{Deserialize, Serialize};

/// One step of a worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    /// Nanoseconds on the clock that all processes of the machine share.
    pub(super) at_ns: u64,
    /// Number of the worker, from 1.
    pub(super) worker: u32,
    #[serde(flatten)]
    pub(super) kind: Kind,
}

/// The kind of a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The worker waits for the start.
    Ready,
    /// It waits for the lock.
    Waiting,
    /// It holds the lock, with this fencing token.
    Entered { fence: Option<u64> },
    /// It has read the stock and stops itself before it writes.
    Paused,
    /// Its process was continued.
    Resumed,
    /// Its own check found the lease lost, at `deadline_ns`. `writes_anyway` like a client that does not check.
    LeaseLost { deadline_ns: u64, writes_anyway: bool },
    /// It has read a stock, found another or the same one when it wrote, and written its order.
    Sold { read: i64, found: i64 },
    /// The shop refused its write, because it had seen the higher token `mark`.
    Refused { fence: u64, mark: u64 },
    /// It no longer holds the lock.
    Left,
    /// It found no items and ends.
    SoldOut,
    /// It cannot continue.
    Failed { message: String },
}

impl Event {
    pub(super) fn now(env: &Env, worker: u32, kind: Kind) -> Self {
        Event { at_ns: env.now().nanos(), worker, kind }
    }
}
