//! The native dialect: what is sent to the scripts of `scripts/native`, and what they answer.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Busy, Claim, Contender, Error, ErrorKind, FencingToken, Grant, Intent, LockName, LostReason, Mode,
    Queueing, Release, Renewal, Result, Snapshot, Stance, Standing,
};
use redis::{Cmd, Value};

use super::foreign;
use crate::{
    enrol::MARKER,
    keys::{Keys, SIDES},
    reply::{bytes, list, number, text, unexpected},
    script::Script,
};

/// How news are sent out: the verb, whether it answers all receivers, and on which channel changes are announced.
pub(crate) struct Voice {
    pub(crate) verb: &'static str,
    pub(crate) exact: bool,
}

impl Voice {
    fn speak(&self, call: &mut Cmd, keys: &Keys) {
        call.arg(self.verb).arg(u8::from(self.exact)).arg(keys.changes());
    }
}

/// A script with the eight keys of a lock.
fn on(script: &Script, keys: &Keys) -> Cmd {
    let sides = SIDES.map(|end| keys.side(end));
    let all: Vec<&str> =
        std::iter::once(keys.hold.as_str()).chain(sides.iter().map(String::as_str)).collect();
    script.call(all.into_iter())
}

/// The same with the key of a member's marker.
fn on_member(script: &Script, keys: &Keys) -> Cmd {
    let sides = SIDES.map(|end| keys.side(end));
    let sides = sides.iter().map(String::as_str);
    let all: Vec<&str> = std::iter::once(keys.hold.as_str()).chain(sides).chain([MARKER]).collect();
    script.call(all.into_iter())
}

/// `marker` is what a member of a quorum keeps if it has lost its own.
pub(crate) fn claim(
    script: &Script,
    keys: &Keys,
    claim: &Claim,
    inbox: &str,
    voice: &Voice,
    marker: Option<&str>,
) -> Cmd {
    let (mode, take, of) = match claim.mode {
        Mode::Permits { take, of } => ("p", take, of),
        Mode::Shared => ("s", 0, 0),
        _ => ("x", 0, 0),
    };
    let queueing = match claim.queueing {
        Queueing::No => "n",
        Queueing::Barging => "b",
        Queueing::Fifo => "f",
    };
    let mut call = if marker.is_some() { on_member(script, keys) } else { on(script, keys) };
    call.arg(claim.id.to_string()).arg(mode).arg(take).arg(of).arg(queueing);
    call.arg(millis(claim.ttl)).arg(millis(claim.lock_delay));
    call.arg(if claim.intent == Intent::Amend { "a" } else { "h" });
    call.arg(claim.fence_floor.map_or(0, FencingToken::get)).arg(FencingToken::SLACK_US).arg(inbox);
    voice.speak(&mut call, keys);
    call.arg(claim.fence_floor.max(claim.fence_proposal).map_or(0, FencingToken::get));
    call.arg(marker.unwrap_or_default());
    if let Some(note) = &claim.note {
        call.arg(note.as_bytes());
    }
    call
}

pub(crate) fn release(script: &Script, keys: &Keys, claim: &Claim, refuse: Duration, voice: &Voice) -> Cmd {
    let mut call = on(script, keys);
    call.arg(claim.id.to_string());
    voice.speak(&mut call, keys);
    call.arg(millis(refuse));
    call
}

pub(crate) fn renew_entry(script: &Script, keys: &Keys, claim: &Claim, voice: &Voice) -> Cmd {
    let mut call = on(script, keys);
    call.arg(claim.id.to_string()).arg(millis(claim.ttl));
    voice.speak(&mut call, keys);
    call
}

pub(crate) fn inspect(script: &Script, keys: &Keys) -> Cmd {
    on(script, keys)
}

pub(crate) fn force_release(script: &Script, keys: &Keys, voice: &Voice) -> Cmd {
    let mut call = on(script, keys);
    call.arg(FencingToken::SLACK_US);
    voice.speak(&mut call, keys);
    call
}

pub(crate) fn observe(script: &Script, keys: &Keys, span: Duration) -> Cmd {
    let mut call = script.call([keys.side(SIDES[0]).as_str()].into_iter());
    call.arg(millis(span));
    call
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What a claim was answered, and whether a stranger has the lock.
pub(crate) fn read_claim(value: Value) -> Result<(Standing, bool)> {
    let fields = list(value, "an answer to a claim")?;
    let standing = match number(fields.first())? {
        0 => {
            let fence = token(fields.get(1))?;
            let valid_for = span(fields.get(2))?.unwrap_or_default();
            let remembers_for = match fields.get(3) {
                Some(remembered) => span(Some(remembered))?.unwrap_or_default(),
                None => Duration::MAX,
            };
            Standing::Granted(Grant { fence, valid_for, remembers_for })
        }
        status @ (1 | 2) => {
            let who = fields.get(3).cloned().filter(|value| matches!(value, Value::Array(_)));
            let (holder, foreign) = match who {
                Some(value) => {
                    let (contender, foreign) = contender(value)?;
                    (Some(contender), foreign)
                }
                None => (None, false),
            };
            let ahead = u32::try_from(number(fields.get(2))?).ok();
            let recheck_in = span(fields.get(1))?.unwrap_or(Duration::from_millis(1));
            let busy = Busy { holder, ahead, recheck_in };
            let standing = if status == 1 { Standing::Waiting(busy) } else { Standing::Held(busy) };
            return Ok((standing, foreign));
        }
        3 => {
            let limit = text(fields.get(1))?.unwrap_or_default();
            Standing::Mismatch { limit: limit.parse().ok() }
        }
        4 => Standing::Gone(reason(fields.get(1))?),
        5 => return Err(other_type(fields.get(1))?),
        6 => return Err(counter_full()),
        other => return Err(unexpected("an answer to a claim", &Value::Int(other))),
    };
    Ok((standing, false))
}

pub(crate) fn read_release(value: Value) -> Result<Release> {
    match value {
        Value::Int(1) => Ok(Release::Released),
        Value::Int(0) => Ok(Release::NotHeld),
        // Another type of key: nothing of ours is there.
        Value::Array(_) => Ok(Release::NotHeld),
        other => Err(unexpected("an answer to a release", &other)),
    }
}

pub(crate) fn read_renew_entry(value: Value) -> Result<Renewal> {
    let fields = list(value, "an answer to a renewal")?;
    match number(fields.first())? {
        0 => Ok(Renewal::Renewed { valid_for: span(fields.get(1))?.unwrap_or_default() }),
        _ => Ok(Renewal::Gone(reason(fields.get(1))?)),
    }
}

pub(crate) fn read_force_release(value: Value) -> Result<Vec<Contender>> {
    let fields = list(value, "those thrown out")?;
    match fields.first() {
        Some(Value::Int(5)) => Err(other_type(fields.get(1))?),
        Some(Value::Int(6)) => Err(counter_full()),
        _ => fields.into_iter().map(|value| Ok(contender(value)?.0)).collect(),
    }
}

pub(crate) fn read_snapshot(name: &LockName, value: Value) -> Result<Snapshot> {
    let fields = list(value, "a lock")?;
    let [kind, counter, holders, waiters, hash] = <[Value; 5]>::try_from(fields)
        .map_err(|fields| unexpected("the five parts of a lock", &Value::Array(fields)))?;
    let mut snapshot = Snapshot {
        name: name.clone(),
        holders: contenders(holders)?,
        waiters: contenders(waiters)?,
        fence: token(Some(&counter))?,
        members: Vec::new(),
    };
    if text(Some(&kind))?.as_deref() == Some("hash") {
        let mut parts = list(hash, "a hash")?.into_iter();
        let expires_in = span(parts.next().as_ref())?;
        let fields = list(parts.next().unwrap_or(Value::Nil), "the fields of a hash")?;
        snapshot.holders.extend(foreign::redisson(&fields).into_iter().map(|hold| Contender {
            tag: 0,
            stance: Stance::Holding,
            mode: Some(if hold.shared { Mode::Shared } else { Mode::Exclusive }),
            expires_in,
            age: None,
            fence: None,
            note: Some(hold.note.into()),
        }));
    }
    Ok(snapshot)
}

fn contenders(value: Value) -> Result<Vec<Contender>> {
    let mut ordered = Vec::new();
    for value in list(value, "contenders")? {
        let mut pair = list(value, "a place and a contender")?.into_iter();
        let place = number(pair.next().as_ref())?;
        ordered.push((place, contender(pair.next().unwrap_or(Value::Nil))?.0));
    }
    ordered.sort_by_key(|(place, _)| *place);
    Ok(ordered.into_iter().map(|(_, contender)| contender).collect())
}

/// A contender as `prelude.lua` describes it, and whether it is a stranger.
fn contender(value: Value) -> Result<(Contender, bool)> {
    let fields = list(value, "a contender")?;
    let is_foreign = number(fields.get(8))? == 1;
    let mode = match (text(fields.get(2))?.as_deref(), is_foreign) {
        (_, true) => None,
        (Some("s"), _) => Some(Mode::Shared),
        (Some("p"), _) => Some(Mode::Permits { take: count(fields.get(3))?, of: count(fields.get(4))? }),
        _ => Some(Mode::Exclusive),
    };
    let stance = match text(fields.get(1))?.as_deref() {
        Some("w") => Stance::Waiting,
        Some("d") => Stance::Delaying,
        _ => Stance::Holding,
    };
    let tag_text = bytes(fields.first()).unwrap_or_default();
    let note = match is_foreign {
        true => Some(foreign::describe(tag_text).into()),
        false => bytes(fields.get(9)).map(|note| Arc::from(String::from_utf8_lossy(note))),
    };
    let digits = tag_text.get(..8).and_then(|digits| std::str::from_utf8(digits).ok());
    let tag = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let contender = Contender {
        tag,
        stance,
        mode,
        expires_in: span(fields.get(5))?,
        age: span(fields.get(6))?,
        fence: token(fields.get(7))?,
        note,
    };
    Ok((contender, is_foreign))
}

fn count(value: Option<&Value>) -> Result<u32> {
    Ok(u32::try_from(number(value)?).unwrap_or_default())
}

/// Milliseconds; `None` when negative: without end, or not known.
fn span(value: Option<&Value>) -> Result<Option<Duration>> {
    Ok(u64::try_from(number(value)?).ok().map(Duration::from_millis))
}

fn token(value: Option<&Value>) -> Result<Option<FencingToken>> {
    match text(value)?.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map(Some),
        None => Ok(None),
    }
}

fn reason(value: Option<&Value>) -> Result<LostReason> {
    Ok(match text(value)?.as_deref() {
        Some("x") => LostReason::Expired,
        Some("f") => LostReason::ForceReleased,
        _ => LostReason::Gone,
    })
}

fn other_type(value: Option<&Value>) -> Result<Error> {
    let kind = text(value)?.unwrap_or_default();
    let message = format!("the key of this name holds a {kind}, which is no lock of ours");
    let hint = match kind.as_str() {
        "hash" => {
            "if it is a lock of Redisson's, these two cannot exclude each other: use another name or a prefix"
        }
        _ => "choose another name, or put a prefix before all of them",
    };
    Ok(Error::new(ErrorKind::Mismatch, message).hint(hint))
}

fn counter_full() -> Error {
    Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53")
}
