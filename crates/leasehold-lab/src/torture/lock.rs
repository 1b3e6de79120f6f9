//! [`Lock`]: how a lane gets its lock and gives it back.

mod library;
mod raw_redis;

use std::time::Duration;

use crate::torture::{args::WorkArguments, failure::Result, lane::Lane};

pub(crate) use library::Library;
pub(crate) use raw_redis::RawRedis;

/// The time to live of every lock of a run: short, so that a pause outlives it.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// One lock of one worker.
pub(crate) trait Lock {
    /// Asks for it, for at most so long.
    fn acquire(&mut self, wait: Duration) -> Answer;
    /// Asked while it is held.
    fn standing(&self) -> Standing;
    /// Gives it back; whether that is known to have been done.
    fn release(&mut self) -> bool;
}

/// What became of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It is held, with this token if there is one.
    Granted(Option<u64>),
    /// Others hold it.
    Busy,
    /// An error; `unknown`: it may be held all the same.
    Failed {
        /// Nobody knows whether it is held.
        unknown: bool,
    },
}

/// What the holder knows of its hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Until when, on the clock of the run; `None`: it never asked itself.
    pub(crate) deadline_us: Option<u64>,
    /// It was told of a loss.
    pub(crate) lost: bool,
}

/// The lock of a lane.
///
/// # Errors
/// The store cannot be reached.
pub(crate) fn of(lane: Lane, arguments: &WorkArguments) -> Result<Box<dyn Lock>> {
    let raw = !lane.is_library() && !arguments.servers.is_empty();
    if raw {
        let seed = arguments.seed ^ u64::from(arguments.process);
        return Ok(Box::new(RawRedis::new(&arguments.servers, lane, seed)));
    }
    Ok(Box::new(Library::connect(&arguments.url, lane)?))
}
