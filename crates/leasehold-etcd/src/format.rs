//! [`Value`]: the text under a claim's key, readable with `etcdctl get`.

use std::{sync::Arc, time::Duration};

use leasehold_core::{ClaimId, Mode};

/// The first word of every value, with the version of the format.
const HEAD: &str = "leasehold1";

/// The state of a claim's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The claim waits in the queue.
    Waiting,
    /// The claim holds the lock.
    Held,
    /// A delay of a claim that has not held the lock yet.
    Idle,
    /// A delay of a holder: once its place is gone, the lock stays shut.
    Armed,
}

const STATES: [(&str, State); 4] =
    [("waiting", State::Waiting), ("held", State::Held), ("idle", State::Idle), ("armed", State::Armed)];

/// The content of a claim's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Value {
    /// The claim, where the key does not name it.
    pub(crate) id: Option<ClaimId>,
    pub(crate) state: State,
    pub(crate) mode: Mode,
    /// The time to live of its lease, in seconds.
    pub(crate) lease_s: u64,
    /// The lock-delay, in seconds.
    pub(crate) delay_s: u64,
    /// When this state was written, by the wall clock of the writer: for display, and a hint when to look up the lease.
    pub(crate) since_us: u64,
    /// The token, where it is not the revision that created the key.
    pub(crate) fence: Option<u64>,
    pub(crate) note: Option<Arc<str>>,
}

impl Value {
    /// The stored bytes: one line of words, and the note on the lines after it if there is one.
    pub(crate) fn write(&self) -> Vec<u8> {
        let state = STATES.iter().find(|(_, state)| *state == self.state).map_or("", |(word, _)| word);
        let mode = match self.mode {
            Mode::Shared => "shared".to_string(),
            Mode::Permits { take, of } => format!("{take}/{of}"),
            _ => "exclusive".to_string(),
        };
        let fence = self.fence.map_or_else(|| "-".to_string(), |fence| fence.to_string());
        let head = self.id.map_or_else(|| HEAD.to_string(), |id| format!("{HEAD} {id}"));
        let mut text =
            format!("{head} {state} {mode} {} {} {} {fence}", self.lease_s, self.delay_s, self.since_us);
        if let Some(note) = &self.note {
            text.push('\n');
            text.push_str(note);
        }
        text.into_bytes()
    }

    /// Parses stored bytes; `None` for a foreign value.
    pub(crate) fn read(bytes: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (line, note) = match text.split_once('\n') {
            Some((line, note)) => (line, Some(Arc::from(note))),
            None => (text, None),
        };
        let mut words = line.split(' ');
        if words.next()? != HEAD {
            return None;
        }
        let mut state = words.next()?;
        let id = state.parse().ok();
        if id.is_some() {
            state = words.next()?;
        }
        let state = STATES.iter().find(|(word, _)| *word == state)?.1;
        let mode = match words.next()? {
            "exclusive" => Mode::Exclusive,
            "shared" => Mode::Shared,
            permits => {
                let (take, of) = permits.split_once('/')?;
                Mode::Permits { take: take.parse().ok()?, of: of.parse().ok()? }
            }
        };
        let mut number = || words.next()?.parse::<u64>().ok();
        let (lease_s, delay_s, since_us) = (number()?, number()?, number()?);
        let fence = match words.next()? {
            "-" => None,
            fence => Some(fence.parse().ok()?),
        };
        words.next().is_none().then_some(Value { id, state, mode, lease_s, delay_s, since_us, fence, note })
    }

    /// The rest of its lease by the wall clock, if it was never renewed; `None` when that is over.
    pub(crate) fn left(&self, wall_us: u64) -> Option<Duration> {
        let end = self.since_us.saturating_add(self.lease_s.saturating_mul(1_000_000));
        let left = Duration::from_micros(end.checked_sub(wall_us)?);
        (!left.is_zero()).then(|| left.min(Duration::from_secs(self.lease_s)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_round_trip() {
        let modes = [Mode::Exclusive, Mode::Shared, Mode::Permits { take: 2, of: u32::MAX }];
        let notes = [None, Some(""), Some("π\n\0\"\\ ")];
        for (_, state) in STATES {
            for (mode, note) in modes.into_iter().zip(notes) {
                let (id, note) = (Some(ClaimId::from_bits(7)), note.map(Arc::from));
                let (lease_s, delay_s, since_us, fence) = (30, 1, u64::MAX, Some(9));
                let value = Value { id, state, mode, lease_s, delay_s, since_us, fence, note };
                assert_eq!(Value::read(&value.write()), Some(value.clone()));
                let value = Value { id: None, ..value };
                assert_eq!(Value::read(&value.write()), Some(value.clone()));
                let plain = Value { fence: None, ..value };
                assert_eq!(Value::read(&plain.write()), Some(plain));
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        for text in ["", "leasehold1", "leasehold2 held shared 1 0 1 -", "leasehold1 held shared 1 0 1 - x"] {
            assert_eq!(Value::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_hint_is_never_more_than_the_lease() {
        let value = Value::read(b"leasehold1 held shared 2 0 10000000 -").unwrap();
        assert_eq!(value.left(10_500_000), Some(Duration::from_millis(1500)));
        assert_eq!(value.left(0), Some(Duration::from_secs(2)));
        assert_eq!(value.left(12_000_000), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_stored_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Value::read(&bytes);
        }
    }
}
