//! Histories: one event a line of JSON, in the order of one clock.
//!
//! All processes of a run share that clock: virtual time in a simulation, `CLOCK_BOOTTIME` on one machine. So the
//! real-time order of events of different processes is known, and need not be guessed.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When, in microseconds on the clock of the run.
    pub at_us: u64,
    /// The process that saw it; 0 is the nemesis. A process that begins again is another process.
    pub process: u32,
    /// The kind with its fields.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kind of an event. `attempt` is one claim of one process; its number is unique in the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A process begins to ask for a lock.
    Ask {
        /// The attempt that begins.
        attempt: u64,
        /// The lock's name.
        lock: String,
        /// Shared with other readers.
        #[serde(default)]
        shared: bool,
    },
    /// It was told that it holds the lock.
    Grant {
        /// The attempt.
        attempt: u64,
        /// The fencing token, if there is one.
        token: Option<u64>,
        /// Until when the holder takes itself to hold, on the clock of the run. `None`: for ever, as naive clients do.
        deadline_us: Option<u64>,
    },
    /// It was told that it does not hold it: the lock is busy.
    Busy {
        /// The attempt.
        attempt: u64,
    },
    /// It was given an error.
    Fail {
        /// The attempt.
        attempt: u64,
        /// The claim may have taken effect.
        unknown: bool,
    },
    /// A renewal was confirmed.
    Extend {
        /// The attempt.
        attempt: u64,
        /// The new deadline.
        deadline_us: u64,
    },
    /// The holder was told that it has lost the lock.
    Lost {
        /// The attempt.
        attempt: u64,
    },
    /// The holder begins to give the lock back: from here on it does nothing under it.
    Release {
        /// The attempt.
        attempt: u64,
    },
    /// The lock was given back, as far as the holder was told.
    Released {
        /// The attempt.
        attempt: u64,
    },
    /// A holder looked at the resource, presenting its token where the resource asks for one.
    Read {
        /// The attempt under which it looked.
        attempt: u64,
        /// The resource.
        resource: String,
        /// The value; `None`: the resource refused the token.
        value: Option<u64>,
    },
    /// A holder wrote to the resource. Said twice of one write: with `None` before it is sent, so that the write of a
    /// process that is killed is known, and again with the answer, if there is one.
    Write {
        /// The attempt under which it wrote.
        attempt: u64,
        /// The resource.
        resource: String,
        /// The value.
        value: u64,
        /// Accepted and acknowledged; refused; or, with `None`, unknown.
        accepted: Option<bool>,
    },
    /// The final value of a resource.
    Final {
        /// The resource.
        resource: String,
        /// Its value.
        value: u64,
    },
    /// The process is about to be killed; recorded before by the process that kills it.
    Gone,
    /// The nemesis began or ended a fault.
    PlannedFault {
        /// The fault's name, for people.
        name: String,
        /// On whom: a process or a server, for people.
        target: String,
        /// It ended.
        #[serde(default)]
        ended: bool,
    },
    /// The last fault is over: from here on everything must go well.
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

/// Reads lines, in any order of processes, and puts them into the order of the clock. Empty lines are passed over.
///
/// # Errors
/// Those of `from`; [`io::ErrorKind::InvalidData`], with the number of the line, for what is no event.
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
