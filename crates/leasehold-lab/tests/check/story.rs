//! Short words for events. An attempt is one of the process of its number, on lock `x` and resource `r`.

use leasehold_lab::history::{Event, EventKind};

pub(crate) fn event(at_us: u64, process: u64, kind: EventKind) -> Event {
    Event { at_us, process: u32::try_from(process).unwrap_or(u32::MAX), kind }
}

pub(crate) fn ask(at_us: u64, attempt: u64) -> Event {
    event(at_us, attempt, EventKind::Ask { attempt, lock: "x".into(), shared: false })
}

pub(crate) fn ask_shared(at_us: u64, attempt: u64) -> Event {
    event(at_us, attempt, EventKind::Ask { attempt, lock: "x".into(), shared: true })
}

pub(crate) fn grant(at_us: u64, attempt: u64, token: u64, deadline_us: u64) -> Event {
    let (token, deadline_us) = (Some(token), Some(deadline_us));
    event(at_us, attempt, EventKind::Grant { attempt, token, deadline_us })
}

pub(crate) fn busy(at_us: u64, attempt: u64) -> Event {
    event(at_us, attempt, EventKind::Busy { attempt })
}

pub(crate) fn fail(at_us: u64, attempt: u64, unknown: bool) -> Event {
    event(at_us, attempt, EventKind::Fail { attempt, unknown })
}

pub(crate) fn extend(at_us: u64, attempt: u64, deadline_us: u64) -> Event {
    event(at_us, attempt, EventKind::Extend { attempt, deadline_us })
}

pub(crate) fn lost(at_us: u64, attempt: u64) -> Event {
    event(at_us, attempt, EventKind::Lost { attempt })
}

pub(crate) fn release(at_us: u64, attempt: u64) -> Event {
    event(at_us, attempt, EventKind::Release { attempt })
}

pub(crate) fn read(at_us: u64, attempt: u64, value: u64) -> Event {
    event(at_us, attempt, EventKind::Read { attempt, resource: "r".into(), value: Some(value) })
}

pub(crate) fn write(at_us: u64, attempt: u64, value: u64, accepted: Option<bool>) -> Event {
    event(at_us, attempt, EventKind::Write { attempt, resource: "r".into(), value, accepted })
}

pub(crate) fn last(at_us: u64, value: u64) -> Event {
    event(at_us, 0, EventKind::Final { resource: "r".into(), value })
}

pub(crate) fn gone(at_us: u64, process: u64) -> Event {
    event(at_us, process, EventKind::Gone)
}

pub(crate) fn healed(at_us: u64) -> Event {
    event(at_us, 0, EventKind::Healed)
}

/// A hold that reads, writes one more and lets go.
pub(crate) fn increment(start_us: u64, attempt: u64, value: u64) -> Vec<Event> {
    vec![
        ask(start_us, attempt),
        grant(start_us + 1, attempt, attempt, start_us + 100),
        read(start_us + 2, attempt, value),
        write(start_us + 3, attempt, value + 1, None),
        write(start_us + 4, attempt, value + 1, Some(true)),
        release(start_us + 5, attempt),
    ]
}

/// In the order of the clock.
pub(crate) fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.at_us);
    events
}
