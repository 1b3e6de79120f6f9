//! Replies of the scripts of `scripts/native`.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Busy, Contender, Error, ErrorKind, FencingToken, Grant, LockName, LostReason, Mode, Release, Renewal,
    Result, Snapshot, Stance, Standing,
};
use redis::Value;

use crate::{
    dialect::{ClaimReply, foreign},
    format::{Reply, read, span, unexpected},
    server_info::remembered,
    transport::ServerTime,
};

pub(super) fn read_claim(value: &Value) -> Result<ClaimReply> {
    let fields: Vec<Value> = read(value, "a reply to a claim")?;
    let mut is_unannounced = false;
    let standing = match (status(&fields)?, &fields[1..]) {
        (0, [fence, valid_for, remembers_for @ ..]) => Standing::Granted(Grant {
            fence: token(fence)?,
            valid_for: read_span(valid_for)?.unwrap_or_default(),
            remembers_for: match remembers_for {
                [span] => read_span(span)?.unwrap_or_default(),
                _ => Duration::MAX,
            },
        }),
        (status @ (1 | 2), [recheck_in, ahead, holder]) => {
            let recheck_in = read_span(recheck_in)?.unwrap_or(Duration::from_millis(1));
            let ahead = u32::try_from(read::<i64>(ahead, "a number of claims")?).ok();
            let holder = if *holder == Value::Nil { None } else { Some(contender(holder)?) };
            is_unannounced = holder.as_ref().is_some_and(|(_, is_foreign)| *is_foreign);
            let busy = Busy { holder: holder.map(|(holder, _)| holder), ahead, recheck_in };
            if status == 1 { Standing::Waiting(busy) } else { Standing::Held(busy) }
        }
        (3, [limit]) => Standing::Mismatch { limit: read::<String>(limit, "a limit")?.parse().ok() },
        (4, [code]) => Standing::Gone(reason(code)?),
        _ => return Err(refusal(&fields)),
    };
    Ok(ClaimReply::Outcome { standing, is_unannounced })
}

/// `None` when nothing has changed, and the script for all claims is to be asked.
pub(super) fn read_claim_quiet(value: &Value, ttl: Duration) -> Result<Option<ClaimReply>> {
    let token = match value {
        Value::Nil => return Ok(None),
        Value::Int(token) => FencingToken::new(u64::try_from(*token).unwrap_or_default())?,
        value => return read_claim(value).map(Some),
    };
    let standing = Standing::Granted(Grant::lasting(Some(token), ttl));
    Ok(Some(ClaimReply::Outcome { standing, is_unannounced: false }))
}

/// `None` when the hold was not set. A member of a quorum has a third reply, its marker.
pub(super) fn read_claim_reserved(
    replies: &[Reply],
    token: FencingToken,
    valid_for: Duration,
    time: ServerTime,
) -> Option<ClaimReply> {
    let [Ok(Value::Okay), counter, marker @ ..] = replies else { return None };
    let is_counter = counter.as_ref().is_ok_and(|counter| {
        read::<u64>(counter, "a fencing token").is_ok_and(|counter| counter == token.get())
    });
    let remembers_for = match marker {
        [] => Some(Duration::MAX),
        // The way for all cases gives a member that has lost its marker another one.
        [marker, ..] => {
            let marker = marker.as_ref().ok().and_then(|marker| read(marker, "a marker").ok());
            marker.map(|marker| remembered(Some(marker), time.0))
        }
    };
    let Some(remembers_for) = remembers_for.filter(|_| is_counter) else {
        return Some(ClaimReply::Undecided);
    };
    let standing = Standing::Granted(Grant { fence: Some(token), valid_for, remembers_for });
    Some(ClaimReply::Outcome { standing, is_unannounced: false })
}

/// The reply of a member of a quorum, which answers its marker, too, and its token if that is not the least one.
pub(super) fn read_vote(
    value: &Value,
    time: ServerTime,
    least: FencingToken,
    valid_for: Duration,
) -> Result<Option<ClaimReply>> {
    let (fence, marker) = match value {
        Value::Nil => return Ok(None),
        Value::Array(_) => {
            let (fence, marker) = read(value, "a token and a marker")?;
            (FencingToken::new(fence)?, marker)
        }
        marker => (least, read(marker, "a marker")?),
    };
    let (fence, remembers_for) = (Some(fence), remembered(Some(marker), time.0));
    let standing = Standing::Granted(Grant { fence, valid_for, remembers_for });
    Ok(Some(ClaimReply::Outcome { standing, is_unannounced: false }))
}

pub(super) fn read_release(value: &Value) -> Result<Release> {
    match value {
        Value::Int(1) => Ok(Release::Released),
        // An array: the key is of another type, so the claim has nothing there.
        Value::Int(0) | Value::Array(_) => Ok(Release::NotHeld),
        other => Err(unexpected("a reply to a release", other)),
    }
}

/// The outcome of a short release, and the token that it has reserved.
pub(super) fn read_release_quiet(value: &Value) -> Result<(Release, Option<FencingToken>)> {
    match value {
        Value::Int(2..) => Ok((Release::Released, FencingToken::new(read(value, "a fencing token")?).ok())),
        other => Ok((read_release(other)?, None)),
    }
}

pub(super) fn read_renew_entry(value: &Value) -> Result<Renewal> {
    match read::<(i64, Value)>(value, "a reply to a renewal")? {
        (0, valid_for) => Ok(Renewal::Renewed { valid_for: read_span(&valid_for)?.unwrap_or_default() }),
        (_, code) => Ok(Renewal::Gone(reason(&code)?)),
    }
}

pub(super) fn read_force_release(value: &Value) -> Result<Vec<Contender>> {
    let fields: Vec<Value> = read(value, "the ended holders")?;
    match fields.first() {
        Some(Value::Int(_)) => Err(refusal(&fields)),
        _ => fields.iter().map(|value| Ok(contender(value)?.0)).collect(),
    }
}

pub(super) fn read_snapshot(name: &LockName, value: &Value) -> Result<Snapshot> {
    let (_, counter, holders, waiters, hash): (Value, Value, Value, Value, Vec<Value>) =
        read(value, "the five parts of a lock")?;
    let mut holders = contenders(&holders)?;
    if let [expires_in, fields] = &hash[..] {
        let fields: Vec<(Vec<u8>, Vec<u8>)> = read(fields, "the fields of a hash")?;
        let left: i64 = read(expires_in, "milliseconds")?;
        let with_time = fields.into_iter().map(|(field, value)| (field, value, left));
        holders.extend(foreign::redisson(&with_time.collect::<Vec<_>>()));
    }
    Ok(Snapshot {
        name: name.clone(),
        holders,
        waiters: contenders(&waiters)?,
        fence: token(&counter)?,
        members: Vec::new(),
    })
}

/// The contenders by their positions.
fn contenders(value: &Value) -> Result<Vec<Contender>> {
    let mut ordered: Vec<(i64, Value)> = read(value, "positions and contenders")?;
    ordered.sort_by_key(|(position, _)| *position);
    ordered.iter().map(|(_, value)| Ok(contender(value)?.0)).collect()
}

/// The fields of a contender, as `prelude.lua` describes it.
type Fields = (Vec<u8>, String, String, u32, u32, Value, Value, Value, u8, Option<Vec<u8>>);

/// A contender, and whether it is of another library.
fn contender(value: &Value) -> Result<(Contender, bool)> {
    let (id, stance, mode, take, of, expires_in, age, fence, is_foreign, note): Fields =
        read(value, "a contender")?;
    let is_foreign = is_foreign == 1;
    let mode = match mode.as_str() {
        _ if is_foreign => None,
        "s" => Some(Mode::Shared),
        "p" => Some(Mode::Permits { take, of }),
        _ => Some(Mode::Exclusive),
    };
    let stance = match stance.as_str() {
        "w" => Stance::Waiting,
        "d" => Stance::Delaying,
        _ => Stance::Holding,
    };
    let note = match is_foreign {
        true => Some(foreign::describe(&id).into()),
        false => note.map(|note| Arc::from(String::from_utf8_lossy(&note))),
    };
    let digits = id.get(..8).and_then(|digits| std::str::from_utf8(digits).ok());
    let tag = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let (expires_in, age, fence) = (read_span(&expires_in)?, read_span(&age)?, token(&fence)?);
    Ok((Contender { tag, stance, mode, expires_in, age, fence, note }, is_foreign))
}

fn status(fields: &[Value]) -> Result<i64> {
    read(fields.first().unwrap_or(&Value::Nil), "a status")
}

fn read_span(value: &Value) -> Result<Option<Duration>> {
    Ok(span(read(value, "milliseconds")?))
}

fn token(value: &Value) -> Result<Option<FencingToken>> {
    match read::<String>(value, "a fencing token")? {
        text if text.is_empty() => Ok(None),
        text => text.parse().map(Some),
    }
}

fn reason(value: &Value) -> Result<LostReason> {
    Ok(match read::<String>(value, "a reason")?.as_str() {
        "x" => LostReason::Expired,
        "f" => LostReason::ForceReleased,
        _ => LostReason::Gone,
    })
}

/// The error that a script answers.
fn refusal(fields: &[Value]) -> Error {
    let kind = match fields {
        [Value::Int(5), kind] => read::<String>(kind, "a type").unwrap_or_default(),
        [Value::Int(6)] => {
            return Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53");
        }
        other => return unexpected("a reply of a script", &Value::Array(other.to_vec())),
    };
    let message = format!("the key of this name holds a {kind}, which is no lock of Leasehold");
    Error::new(ErrorKind::Mismatch, message).hint(match kind.as_str() {
        "hash" => {
            "if it is a lock of Redisson, dialect=redisson shares it; else use another name or a prefix"
        }
        _ => "choose another name, or put a prefix before all of them",
    })
}
