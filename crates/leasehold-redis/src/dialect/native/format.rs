//! Replies of the scripts of `scripts/native`.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Busy, Contender, Error, ErrorKind, FencingToken, Grant, LockName, LostReason, Mode, Release, Renewal,
    Result, Snapshot, Stance, Standing,
};
use redis::Value;

use crate::{
    dialect::foreign,
    format::{bytes, list, number, span, text, unexpected},
};

/// The reply to a claim, and whether a foreign holder has the lock.
pub(super) fn read_claim(value: Value) -> Result<(Standing, bool)> {
    let fields = list(value, "a reply to a claim")?;
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
        other => return Err(unexpected("a reply to a claim", &Value::Int(other))),
    };
    Ok((standing, false))
}

pub(super) fn read_release(value: Value) -> Result<Release> {
    match value {
        Value::Int(1) => Ok(Release::Released),
        // An array: the key is of another type, so the claim has nothing there.
        Value::Int(0) | Value::Array(_) => Ok(Release::NotHeld),
        other => Err(unexpected("a reply to a release", &other)),
    }
}

pub(super) fn read_renew_entry(value: Value) -> Result<Renewal> {
    let fields = list(value, "a reply to a renewal")?;
    match number(fields.first())? {
        0 => Ok(Renewal::Renewed { valid_for: span(fields.get(1))?.unwrap_or_default() }),
        _ => Ok(Renewal::Gone(reason(fields.get(1))?)),
    }
}

pub(super) fn read_force_release(value: Value) -> Result<Vec<Contender>> {
    let fields = list(value, "the ended holders")?;
    match fields.first() {
        Some(Value::Int(5)) => Err(other_type(fields.get(1))?),
        Some(Value::Int(6)) => Err(counter_full()),
        _ => fields.into_iter().map(|value| Ok(contender(value)?.0)).collect(),
    }
}

pub(super) fn read_snapshot(name: &LockName, value: Value) -> Result<Snapshot> {
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
        let mut pair = list(value, "a position and a contender")?.into_iter();
        let position = number(pair.next().as_ref())?;
        ordered.push((position, contender(pair.next().unwrap_or(Value::Nil))?.0));
    }
    ordered.sort_by_key(|(position, _)| *position);
    Ok(ordered.into_iter().map(|(_, contender)| contender).collect())
}

/// A contender as `prelude.lua` describes it, and whether it is of another library.
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
    let message = format!("the key of this name holds a {kind}, which is no lock of Leasehold");
    let hint = match kind.as_str() {
        "hash" => {
            "if it is a lock of Redisson, the two libraries cannot exclude each other: use another name or a prefix"
        }
        _ => "choose another name, or put a prefix before all of them",
    };
    Ok(Error::new(ErrorKind::Mismatch, message).hint(hint))
}

fn counter_full() -> Error {
    Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53")
}
