//! [`Lock`]: the way in which a workload takes its lock and gives it back.

mod library;
mod raw_redis;

use std::time::Duration;

use anyhow::Result;

use super::{args::WorkArguments, workload::Workload};

/// One lock of one worker.
pub(super) trait Lock {
    /// Asks for it until the time limit.
    fn acquire(&mut self, wait: Duration) -> Acquired;
    /// The state of the hold, while it is held.
    fn hold(&self) -> HoldState;
    /// Gives it back; whether that was confirmed.
    fn release(&mut self) -> bool;
}

/// The answer to a request for the lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Acquired {
    /// Granted, with the fencing token if there is one.
    Granted(Option<u64>),
    /// Held by another.
    Busy,
    /// An error; `unknown`: the lock may be held all the same.
    Failed { unknown: bool },
}

/// The holder's knowledge of its hold.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct HoldState {
    /// The deadline on the clock of the run; `None`: a naive client has none.
    pub(super) deadline_us: Option<u64>,
    /// Whether the lease is known to be lost.
    pub(super) lost: bool,
}

/// The lock of a workload.
pub(super) fn connect(workload: Workload, arguments: &WorkArguments) -> Result<Box<dyn Lock>> {
    if workload.is_leasehold() || arguments.servers.is_empty() {
        return Ok(Box::new(library::Library::connect(&arguments.url, workload)?));
    }
    let seed = arguments.seed ^ u64::from(arguments.process);
    Ok(Box::new(raw_redis::RawRedis::new(&arguments.servers, workload, seed)))
}
