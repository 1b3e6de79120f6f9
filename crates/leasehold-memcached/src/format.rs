//! The document of a lock as text, the value of its item (WIRE.md, "Memcached").
//!
//! Times are whole seconds of the server's clock. The server tells the remaining time of an item, and the first line of the
//! document its end: the difference is the current time of the server.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, FencingToken, LockName, Mode, Moment, Queueing,
    decide::lock_state::{Entry, State},
};

use crate::keys::{escape, unescape};

const MAGIC: &str = "leasehold 1";
/// The end of an item whose time to live was given as a span: its date is unknown, so times count from the end. It is
/// later than any date.
pub(crate) const SPAN_END: u64 = 10_000_000_000;
/// A placeholder for the token that follows from the CAS unique of the item, which is known only after the write.
pub(crate) const PENDING: FencingToken = FencingToken::MAX;

/// A document as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Document {
    pub(crate) name: LockName,
    /// The end of the item, in seconds.
    pub(crate) end: u64,
    /// Holders and waiters; at most one has the token [`PENDING`].
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn moment(seconds: u64) -> Moment {
    Moment::from_nanos(seconds.saturating_mul(1_000_000_000))
}

pub(crate) fn seconds(moment: Moment) -> u64 {
    moment.nanos() / 1_000_000_000
}

const STATES: [(State, &str); 4] =
    [(State::Waiting, "w"), (State::Held, "h"), (State::Delaying, "d"), (State::Revoked, "r")];
const QUEUEING: [(Queueing, &str); 3] =
    [(Queueing::No, "n"), (Queueing::Barging, "b"), (Queueing::Fifo, "f")];

fn word<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> &'static str {
    table.iter().find(|(key, _)| key == value).map_or("?", |(_, word)| word)
}

fn value<T: Copy>(table: &[(T, &str)], word: &str) -> Option<T> {
    table.iter().find(|(_, text)| *text == word).map(|(key, _)| *key)
}

/// Lines and fields end at control characters.
fn text(text: &str) -> String {
    escape(text, |char| !char.is_ascii_control())
}

fn mode_text(mode: Mode) -> String {
    match mode {
        Mode::Shared => "s".into(),
        Mode::Permits { take, of } => format!("{take}/{of}"),
        _ => "x".into(),
    }
}

fn mode(text: &str) -> Option<Mode> {
    Some(match text {
        "x" => Mode::Exclusive,
        "s" => Mode::Shared,
        permits => {
            let (take, of) = permits.split_once('/')?;
            Mode::Permits { take: take.parse().ok()?, of: of.parse().ok()? }
        }
    })
}

fn fence_text(fence: Option<FencingToken>) -> String {
    match fence {
        None => String::new(),
        Some(PENDING) => "+".into(),
        Some(fence) => fence.to_string(),
    }
}

fn fence(text: &str) -> Option<Option<FencingToken>> {
    match text {
        "" => Some(None),
        "+" => Some(Some(PENDING)),
        number => Some(Some(number.parse().ok()?)),
    }
}

fn entry_text(entry: &Entry) -> String {
    [
        entry.seq.to_string(),
        entry.id.to_string(),
        word(&STATES, &entry.state).into(),
        mode_text(entry.mode),
        word(&QUEUEING, &entry.queueing).into(),
        seconds(entry.expires).to_string(),
        seconds(entry.since).to_string(),
        entry.lock_delay.as_secs().to_string(),
        fence_text(entry.fence),
        entry.note.as_ref().map_or("-".into(), |note| format!("={}", text(note))),
    ]
    .join("\t")
}

fn entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [seq, id, state, shares, queueing, expires, since, lock_delay, token, note] = fields[..] else {
        return None;
    };
    Some(Entry {
        seq: seq.parse().ok()?,
        id: id.parse::<ClaimId>().ok()?,
        state: value(&STATES, state)?,
        mode: mode(shares)?,
        queueing: value(&QUEUEING, queueing)?,
        expires: moment(expires.parse().ok()?),
        since: moment(since.parse().ok()?),
        lock_delay: Duration::from_secs(lock_delay.parse().ok()?),
        session: None,
        fence: fence(token)?,
        note: match note.strip_prefix('=') {
            Some(note) => Some(Arc::from(unescape(note)?)),
            None if note == "-" => None,
            None => return None,
        },
    })
}

/// The value of an item.
pub(crate) fn encode(document: &Document) -> Vec<u8> {
    let mut value = format!("{MAGIC} {} {}\n", document.end, text(document.name.as_str()));
    for entry in &document.entries {
        value.push_str(&entry_text(entry));
        value.push('\n');
    }
    value.into_bytes()
}

/// The document in a value; `None` for a foreign one.
pub(crate) fn decode(value: &[u8]) -> Option<Document> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('\n')?;
    let mut lines = text.split('\n');
    let (end, name) = lines.next()?.strip_prefix(MAGIC)?.strip_prefix(' ')?.split_once(' ')?;
    let name = LockName::new(unescape(name)?).ok()?;
    let entries: Option<Vec<Entry>> = lines.map(entry).collect();
    Some(Document { name, end: end.parse().ok()?, entries: entries? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn modes() -> impl Strategy<Value = Mode> {
        let permits = (any::<u32>(), any::<u32>()).prop_map(|(take, of)| Mode::Permits { take, of });
        prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared), permits]
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let state = prop::sample::select(STATES.map(|(state, _)| state).to_vec());
        let queueing = prop::sample::select(QUEUEING.map(|(queueing, _)| queueing).to_vec());
        let times = (0..SPAN_END, 0..SPAN_END, 0u64..1000);
        let fence = proptest::option::of(
            (0u64..=FencingToken::MAX.get()).prop_map(|it| FencingToken::new(it).unwrap()),
        );
        let note = proptest::option::of(any::<String>().prop_map(Arc::from));
        (any::<u64>(), any::<u128>(), state, modes(), queueing, times, fence, note).prop_map(
            |(seq, id, state, mode, queueing, (expires, since, delay), fence, note)| Entry {
                seq,
                id: ClaimId::from_bits(id),
                state,
                mode,
                queueing,
                expires: moment(expires),
                since: moment(since),
                lock_delay: Duration::from_secs(delay),
                session: None,
                fence,
                note,
            },
        )
    }

    proptest! {
        #[test]
        fn every_document_comes_back(
            name in any::<String>().prop_filter("a name", |name| LockName::new(name).is_ok()),
            end in any::<u64>(),
            entries in proptest::collection::vec(entries(), 0..5),
        ) {
            let document = Document { name: LockName::new(name).unwrap(), end, entries };
            prop_assert_eq!(decode(&encode(&document)), Some(document));
        }

        #[test]
        fn arbitrary_values_are_foreign(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&value), None);
        }

        #[test]
        fn damaged_documents_do_not_panic(
            entries in proptest::collection::vec(entries(), 0..3),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut value = encode(&Document { name: LockName::new("n").unwrap(), end: 5, entries });
            let at = at.index(value.len());
            value[at] = byte;
            decode(&value);
            decode(&value[..at]);
        }
    }

    #[test]
    fn foreign_values_are_no_documents() {
        for value in
            ["", "1", "leasehold", "leasehold 1", "leasehold 1 5 \n", "leasehold 2 5 a\n", "leasehold 1 5 a"]
        {
            assert_eq!(decode(value.as_bytes()), None, "{value:?}");
        }
        assert!(decode(b"leasehold 1 5 a b\n").is_some_and(|document| document.name.as_str() == "a b"));
    }
}
