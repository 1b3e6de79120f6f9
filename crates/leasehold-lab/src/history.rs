//! Histories: one event a line of JSON, in the order of one clock.
//!
//! All processes of a run share that clock: virtual time in a simulation, `CLOCK_BOOTTIME` on one machine. So the
//! real-time order of events of different processes is known.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The time in microseconds on the clock of the run.
    pub at_us: u64,
    /// The process; 0 is the nemesis. A restarted process is another process.
    pub process: u32,
    /// The kind with its fields.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kind of an event. `attempt` is one claim of one process; its number is unique in the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are explained at their variant")]
pub enum EventKind {
    /// A process begins to ask for a lock, perhaps shared with other readers.
    Ask {
        attempt: u64,
        lock: String,
        #[serde(default)]
        shared: bool,
    },
    /// It was granted the lock until the deadline on the clock of the run; `None`: for ever, as naive clients believe.
    Grant { attempt: u64, token: Option<u64>, deadline_us: Option<u64> },
    /// It was told that the lock is busy.
    Busy { attempt: u64 },
    /// It was given an error; `unknown`: the claim may have taken effect.
    Fail { attempt: u64, unknown: bool },
    /// A renewal was confirmed until the new deadline.
    Extend { attempt: u64, deadline_us: u64 },
    /// The holder was told that it has lost the lock.
    Lost { attempt: u64 },
    /// The holder begins the release, and does nothing more under the lock.
    Release { attempt: u64 },
    /// The release was confirmed.
    Released { attempt: u64 },
    /// A holder read a resource, with its token where that is checked. `None`: the token was refused.
    Read { attempt: u64, resource: String, value: Option<u64> },
    /// A holder wrote to a resource. Recorded twice: with `None` before it is sent, so that the write of a process that is
    /// killed is known, and with the answer, if there is one: acknowledged or refused.
    Write { attempt: u64, resource: String, value: u64, accepted: Option<bool> },
    /// The final value of a resource.
    Final { resource: String, value: u64 },
    /// The process is about to be killed; recorded before by the process that kills it.
    Gone,
    /// The nemesis began or ended a fault; name and target are for people.
    PlannedFault {
        name: String,
        target: String,
        #[serde(default)]
        ended: bool,
    },
    /// The last fault is over.
    Healed,
}

/// Writes `events` as lines.
///
/// # Errors
/// Those of `to`.
pub fn write(events: &[Event], to: &mut impl Write) -> io::Result<()> {
    for event in events {
        serde_json::to_writer(&mut *to, event)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads lines in any order and sorts them by the clock. Empty lines are ignored.
///
/// # Errors
/// Those of `from`; [`io::ErrorKind::InvalidData`], with the number of the line, for a line that is not an event.
pub fn read(from: impl BufRead) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    for (index, line) in from.lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        let event: Event = serde_json::from_str(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", index + 1))
        })?;
        events.push(event);
    }
    events.sort_by_key(|event| event.at_us);
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_us: u64, process: u32, kind: EventKind) -> Event {
        Event { at_us, process, kind }
    }

    #[test]
    fn what_was_written_is_read_in_the_order_of_the_clock() {
        let events = [
            event(3, 1, EventKind::Grant { attempt: 7, token: Some(9), deadline_us: Some(50) }),
            event(1, 1, EventKind::Ask { attempt: 7, lock: "x".into(), shared: false }),
            event(9, 0, EventKind::Healed),
        ];
        let mut lines = Vec::new();
        write(&events, &mut lines).unwrap();
        assert!(lines.starts_with(br#"{"at_us":3,"process":1,"event":"grant","attempt":7,"token":9"#));
        let read = read(&lines[..]).unwrap();
        assert_eq!(read, [events[1].clone(), events[0].clone(), events[2].clone()]);
    }

    #[test]
    fn what_is_no_event_is_named_by_its_line() {
        let error = read(&b"\n{\"at_us\":1}\n"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("line 2: "), "{error}");
    }
}
