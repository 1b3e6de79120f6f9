//! The clients from the bottom of the ladder to the top.

mod crash;
mod leasehold;
mod long_work;
mod redlock;
mod watchdog;

use super::model::Rung;

pub(super) const RUNGS: [Rung; 8] = [
    Rung { number: 1, name: "SETNX … DEL", play: crash::while_held },
    Rung { number: 2, name: "SETNX, then EXPIRE", play: crash::before_expire },
    Rung { number: 3, name: "SET NX PX … DEL", play: long_work::bare_delete },
    Rung { number: 4, name: "+ owner: GET, then DEL", play: long_work::get_then_delete },
    Rung { number: 5, name: "+ compare-and-delete in Lua", play: long_work::compare_and_delete },
    Rung { number: 6, name: "+ watchdog: renew every ttl/3", play: watchdog::play },
    Rung { number: 7, name: "Redlock of 3 servers", play: redlock::play },
    Rung { number: 8, name: "Leasehold, fenced resource", play: leasehold::play },
];
