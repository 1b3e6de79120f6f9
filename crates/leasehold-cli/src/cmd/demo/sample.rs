//! Short stories for tests: what workers could have said.

use std::time::Duration;

use super::{
    director::Record,
    event::{Event, Kind},
    plan::{Lane, Plan},
    shop::Count,
};

/// Twelve items, two workers.
pub(crate) fn plan() -> Plan {
    Plan { stock: 12, workers: 2, seed: 1, ttl: Duration::from_millis(100) }
}

/// An event after so many milliseconds.
pub(crate) fn at(ms: u64, worker: u32, kind: Kind) -> Event {
    Event { at_ns: ms * 1_000_000, worker, kind }
}

/// A story and what the shop came to.
pub(crate) fn record(lane: Lane, events: Vec<Event>, orders: i64, remaining: i64) -> Record {
    let ended_ns = events.last().map_or(0, |event| event.at_ns);
    Record { lane, began_ns: 0, ended_ns, events, count: Count { orders, remaining } }
}

/// Worker 1 falls asleep with token 1007, worker 2 sells with 1008, the shop refuses what worker 1 writes then.
pub(crate) fn refused() -> Record {
    let events = vec![
        at(0, 1, Kind::Waiting),
        at(1, 1, Kind::Entered { fence: Some(1007) }),
        at(2, 2, Kind::Waiting),
        at(10, 1, Kind::Paused),
        at(101, 2, Kind::Entered { fence: Some(1008) }),
        at(110, 2, Kind::Sold { read: 12, found: 12 }),
        at(111, 2, Kind::Left),
        at(150, 1, Kind::Woken),
        at(151, 1, Kind::LeaseLost { deadline_ns: 100_000_000, writes_anyway: true }),
        at(152, 1, Kind::Refused { fence: 1007, mark: 1008 }),
        at(153, 1, Kind::Left),
        at(160, 1, Kind::SoldOut),
        at(160, 2, Kind::SoldOut),
    ];
    record(Lane::Leasehold, events, 12, 0)
}

/// The same with a naive lock: worker 1 writes over the sale of worker 2, while worker 2 sells again.
pub(crate) fn forgotten() -> Record {
    let events = vec![
        at(1, 1, Kind::Entered { fence: None }),
        at(10, 1, Kind::Paused),
        at(101, 2, Kind::Entered { fence: None }),
        at(110, 2, Kind::Sold { read: 12, found: 12 }),
        at(111, 2, Kind::Left),
        at(112, 2, Kind::Entered { fence: None }),
        at(150, 1, Kind::Woken),
        at(152, 1, Kind::Sold { read: 12, found: 11 }),
        at(153, 1, Kind::Left),
        at(154, 2, Kind::Sold { read: 11, found: 11 }),
        at(160, 2, Kind::Left),
    ];
    record(Lane::NaiveLock, events, 13, 0)
}

/// Nobody is disturbed and nothing goes wrong.
pub(crate) fn undisturbed(lane: Lane) -> Record {
    let events = vec![
        at(1, 1, Kind::Entered { fence: None }),
        at(9, 1, Kind::Sold { read: 12, found: 12 }),
        at(10, 1, Kind::Left),
        at(10, 2, Kind::Entered { fence: None }),
        at(12, 2, Kind::Left),
    ];
    record(lane, events, 12, 0)
}
