//! The ladder: each way to lock, and the failures that are injected into it.

use anyhow::Result;

use super::{
    experiment::Experiment,
    leasehold, naive,
    result::Expectation::{self, ForeignRelease, Forgotten, Kept, LockedForEver, Told, TwoHolders},
};

/// One way to lock in Redis.
pub(super) struct Rung {
    pub(super) number: u8,
    pub(super) name: &'static str,
    /// Injected one after the other.
    pub(super) cases: &'static [Case],
}

/// One failure of a client.
pub(super) struct Case {
    pub(super) failure: &'static str,
    pub(super) expected: Expectation,
    pub(super) play: fn(&mut Experiment<'_>) -> Result<()>,
}

const fn case(
    failure: &'static str,
    expected: Expectation,
    play: fn(&mut Experiment<'_>) -> Result<()>,
) -> Case {
    Case { failure, expected, play }
}

/// The failure that needs a C compiler.
pub(super) const CLOCK_JUMPS: &str = "one server's clock jumps by 20 s";

pub(super) const RUNGS: [Rung; 8] = [
    Rung {
        number: 1,
        name: "SETNX … DEL",
        cases: &[case("the holder crashes", LockedForEver, naive::crash_while_held)],
    },
    Rung {
        number: 2,
        name: "SETNX, then EXPIRE",
        cases: &[case("a crash between the two commands", LockedForEver, naive::crash_before_expire)],
    },
    Rung {
        number: 3,
        name: "SET NX PX … DEL",
        cases: &[case("work outlives the expiry", ForeignRelease, naive::bare_delete)],
    },
    Rung {
        number: 4,
        name: "+ owner: GET, then DEL",
        cases: &[case("a pause between GET and DEL", ForeignRelease, naive::get_then_delete)],
    },
    Rung {
        number: 5,
        name: "+ compare-and-delete in Lua",
        cases: &[case("work outlives the lease", TwoHolders, naive::compare_and_delete)],
    },
    Rung {
        number: 6,
        name: "+ watchdog: renew every ttl/3",
        cases: &[
            case("the connection of the watchdog is cut", TwoHolders, naive::watchdog_is_cut),
            case("the master dies before it replicates", TwoHolders, naive::watchdog_of_a_dead_master),
        ],
    },
    Rung {
        number: 7,
        name: "Redlock of 3 servers",
        cases: &[
            case(CLOCK_JUMPS, TwoHolders, naive::redlock_clock_jumps),
            case("one server restarts without memory", TwoHolders, naive::redlock_restarts),
        ],
    },
    Rung {
        number: 8,
        name: "Leasehold, fenced resource",
        cases: &[
            case("work is three times as long as the ttl", Kept, |it| it.block_on(leasehold::long_work)),
            case("the connection of the watchdog is cut", Told, |it| it.block_on(leasehold::cut)),
            case("the master dies before it replicates", Forgotten, |it| it.block_on(leasehold::failover)),
        ],
    },
];
