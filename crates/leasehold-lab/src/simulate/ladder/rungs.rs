//! The rungs, one file each, from the bottom to the top.

mod compare_and_delete;
mod get_then_del;
mod leasehold;
mod redlock;
mod set_nx_ex;
mod setnx;
mod setnx_expire;
mod watchdog;

use std::time::Duration;

use anyhow::Result;

use super::{case::Outcome, stage::Stage};

/// One way to lock in Redis.
pub(crate) struct Rung {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// Injects its failures, one after the other.
    pub(crate) play: fn(&Stage, &Rung) -> Result<Vec<Outcome>>,
}

/// All of them.
pub(crate) const RUNGS: [Rung; 8] = [
    Rung { number: 1, name: "SETNX … DEL", play: setnx::play },
    Rung { number: 2, name: "SETNX, then EXPIRE", play: setnx_expire::play },
    Rung { number: 3, name: "SET NX PX … DEL", play: set_nx_ex::play },
    Rung { number: 4, name: "+ owner: GET, then DEL", play: get_then_del::play },
    Rung { number: 5, name: "+ compare-and-delete in Lua", play: compare_and_delete::play },
    Rung { number: 6, name: "+ watchdog: renew every ttl/3", play: watchdog::play },
    Rung { number: 7, name: "Redlock of 3 servers", play: redlock::play },
    Rung { number: 8, name: "Leasehold, fenced resource", play: leasehold::play },
];

/// How long the naive locks live, in milliseconds, as Redis takes it.
const TTL_MS: &str = "300";
/// How long work takes that is too slow for such a lock.
const LONG: Duration = Duration::from_millis(500);
/// How long two are in, at least.
const TOGETHER: Duration = Duration::from_millis(200);
/// How long one looks whether a lock is free again.
const BOUND: Duration = Duration::from_millis(600);

/// Releases by comparing first, as one step of the server.
const DELETE_IF_MINE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
