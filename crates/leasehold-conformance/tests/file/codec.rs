//! One line an entry: tab-separated, texts in hexadecimal, so that no name can forge a line.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Error, ErrorKind, FencingToken, LockName, Mode, Moment, Queueing, Result,
    decide::lock_state::{Entry, LockState, State},
};

/// All locks, and the counter of fencing tokens.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) fence: u64,
    pub(crate) documents: BTreeMap<LockName, LockState>,
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
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

fn entry_text(entry: &Entry) -> String {
    [
        entry.seq.to_string(),
        entry.id.to_string(),
        word(&STATES, &entry.state).into(),
        mode_text(entry.mode),
        word(&QUEUEING, &entry.queueing).into(),
        entry.expires.nanos().to_string(),
        entry.since.nanos().to_string(),
        entry.lock_delay.as_nanos().to_string(),
        entry.fence.map_or(String::new(), |fence| fence.to_string()),
        entry.note.as_ref().map_or("-".into(), |note| hex(note)),
    ]
    .join("\t")
}

fn entry(fields: &[&str]) -> Option<Entry> {
    let [seq, id, state, shares, queueing, expires, since, lock_delay, fence, note] = fields else {
        return None;
    };
    Some(Entry {
        seq: seq.parse().ok()?,
        id: id.parse::<ClaimId>().ok()?,
        state: value(&STATES, state)?,
        mode: mode(shares)?,
        queueing: value(&QUEUEING, queueing)?,
        expires: Moment::from_nanos(expires.parse().ok()?),
        since: Moment::from_nanos(since.parse().ok()?),
        lock_delay: Duration::from_nanos(lock_delay.parse().ok()?),
        session: None,
        fence: if fence.is_empty() { None } else { Some(fence.parse::<FencingToken>().ok()?) },
        note: if *note == "-" { None } else { Some(Arc::from(unhex(note)?)) },
    })
}

pub(crate) fn write(contents: &Contents) -> String {
    let mut text = format!("{}\n", contents.fence);
    for (name, document) in &contents.documents {
        for entry in document.entries() {
            text.push_str(&format!("{}\t{}\n", hex(name.as_str()), entry_text(entry)));
        }
    }
    text
}

pub(crate) fn read(text: &str) -> Result<Contents> {
    parse(text).ok_or_else(|| Error::new(ErrorKind::Corrupt, "this file is not one of ours"))
}

fn parse(text: &str) -> Option<Contents> {
    let mut lines = text.lines();
    let mut entries: BTreeMap<LockName, Vec<Entry>> = BTreeMap::new();
    let fence = lines.next().map_or(Some(0), |line| line.parse().ok())?;
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = LockName::new(unhex(fields[0])?).ok()?;
        entries.entry(name).or_default().push(entry(&fields[1..])?);
    }
    let documents = entries.into_iter().map(|(name, entries)| (name, LockState::of(entries))).collect();
    Some(Contents { fence, documents })
}
