//! The plain dialect: one string a lock, as some twenty libraries keep it. No queue, no token, no note.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, Contender, FencingToken, Grant, Intent, LockName, LostReason, Mode, Renewal, Result,
    Snapshot, Stance, Standing,
};
use redis::{Cmd, Value, cmd};

use super::{foreign, native::millis};
use crate::{
    connection::Reply,
    reply::{bytes, number, unexpected},
    script::Script,
};

/// The longest a waiter sleeps when nobody tells it of a release.
const RECHECK_MAX: Duration = Duration::from_millis(500);

/// `SET NX PX`, and in the same piece who has it and for how long.
pub(crate) fn claim(key: &str, claim: &Claim) -> Vec<Cmd> {
    let (mut set, mut get, mut left) = (cmd("SET"), cmd("GET"), cmd("PTTL"));
    set.arg(key).arg(claim.id.to_string()).arg("NX").arg("PX").arg(millis(claim.ttl));
    get.arg(key);
    left.arg(key);
    // An amendment makes no hold: it only looks, and is prolonged afterwards.
    if claim.intent == Intent::Amend { vec![get, left] } else { vec![set, get, left] }
}

/// What the pieces say. `None` when the hold is there and has to be prolonged by [`renew`](crate::script).
pub(crate) fn read_claim(
    claim: &Claim,
    replies: Vec<Reply>,
    tracked: bool,
) -> Result<Option<(Standing, bool)>> {
    let mut values = Vec::new();
    for reply in replies {
        values.push(reply.map_err(crate::refusal::Refusal::into_error)?);
    }
    let amends = claim.intent == Intent::Amend;
    if !amends && values.first() == Some(&Value::Okay) {
        return Ok(Some((Standing::Granted(Grant::lasting(None, claim.ttl)), false)));
    }
    let at = usize::from(!amends);
    let (value, left) = (values.get(at), number(values.get(at + 1))?);
    match bytes(value) {
        Some(id) if id == claim.id.to_string().as_bytes() => Ok(None),
        _ if amends => Ok(Some((Standing::Gone(LostReason::Gone), false))),
        Some(other) => {
            let expires_in = u64::try_from(left).ok().map(Duration::from_millis);
            let (holder, is_foreign) = holder(other, expires_in);
            let limit = if tracked { claim.ttl / 3 } else { RECHECK_MAX };
            let recheck_in = expires_in.map_or(limit, |left| (left + Duration::from_millis(1)).min(limit));
            let busy = Busy {
                holder: Some(holder),
                ahead: None,
                recheck_in: recheck_in.max(Duration::from_millis(1)),
            };
            Ok(Some((Standing::Held(busy), is_foreign)))
        }
        // It ended between the two commands.
        None => {
            let busy = Busy { holder: None, ahead: None, recheck_in: Duration::from_millis(1) };
            Ok(Some((Standing::Held(busy), true)))
        }
    }
}

fn holder(value: &[u8], expires_in: Option<Duration>) -> (Contender, bool) {
    let text = std::str::from_utf8(value).unwrap_or_default();
    // A value of our form may be ours or redis-py's: nobody can tell.
    let ours = text.parse::<leasehold_core::ClaimId>().ok();
    let contender = Contender {
        tag: ours.map_or(0, Contender::tag_of),
        stance: Stance::Holding,
        mode: ours.map(|_| Mode::Exclusive),
        expires_in,
        age: None,
        fence: None,
        note: if ours.is_some() { None } else { Some(foreign::describe(value).into()) },
    };
    (contender, ours.is_none())
}

pub(crate) fn release(script: &Script, key: &str, claim: &Claim) -> Cmd {
    let mut call = script.call([key].into_iter());
    call.arg(claim.id.to_string());
    call
}

/// Which of `DELEX` (Redis 8.4) and `DELIFEQ` (Valkey 9) there is.
pub(crate) fn ask_for_compare_and_delete() -> Cmd {
    let mut ask = cmd("COMMAND");
    ask.arg("INFO").arg("DELEX").arg("DELIFEQ");
    ask
}

/// The answer has an entry for each, nil for a command that there is not.
pub(crate) fn read_compare_and_delete(value: &Value) -> Option<&'static str> {
    let Value::Array(entries) = value else { return None };
    let known = |at: usize| matches!(entries.get(at), Some(Value::Array(entry)) if !entry.is_empty());
    match (known(0), known(1)) {
        (true, _) => Some("DELEX"),
        (_, true) => Some("DELIFEQ"),
        _ => None,
    }
}

/// The same as [`release`], by the server's own command.
pub(crate) fn release_by(command: &'static str, key: &str, claim: &Claim) -> Cmd {
    let mut call = cmd(command);
    call.arg(key);
    if command == "DELEX" {
        call.arg("IFEQ");
    }
    call.arg(claim.id.to_string());
    call
}

pub(crate) fn inspect(key: &str) -> Vec<Cmd> {
    let (mut get, mut left) = (cmd("GET"), cmd("PTTL"));
    get.arg(key);
    left.arg(key);
    vec![get, left]
}

pub(crate) fn read_snapshot(name: &LockName, replies: Vec<Reply>) -> Result<Snapshot> {
    let mut replies = replies.into_iter();
    let mut next = || replies.next().unwrap_or(Ok(Value::Nil)).map_err(crate::refusal::Refusal::into_error);
    let (value, left) = (next()?, number(Some(&next()?))?);
    let expires_in = u64::try_from(left).ok().map(Duration::from_millis);
    let holders = bytes(Some(&value)).map(|value| holder(value, expires_in).0);
    Ok(Snapshot {
        name: name.clone(),
        holders: holders.into_iter().collect(),
        waiters: Vec::new(),
        fence: None::<FencingToken>,
        members: Vec::new(),
    })
}

/// What a renewal script answered for one claim.
pub(crate) fn read_renewal(value: Option<&Value>) -> Result<Renewal> {
    match value {
        Some(Value::Int(left)) if *left >= 0 => Ok(Renewal::Renewed {
            valid_for: Duration::from_millis(u64::try_from(*left).unwrap_or_default()),
        }),
        Some(Value::Int(_)) => Ok(Renewal::Gone(LostReason::Gone)),
        other => Err(unexpected("an answer to a renewal", other.unwrap_or(&Value::Nil))),
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::ClaimId;

    use super::*;

    #[test]
    fn the_native_commands_are_used_where_the_server_has_them() {
        let entry = Value::Array(vec![Value::BulkString(b"delex".to_vec())]);
        let answer = |first: &Value, second: &Value| Value::Array(vec![first.clone(), second.clone()]);
        assert_eq!(read_compare_and_delete(&answer(&Value::Nil, &Value::Nil)), None);
        assert_eq!(read_compare_and_delete(&answer(&entry, &Value::Nil)), Some("DELEX"));
        assert_eq!(read_compare_and_delete(&answer(&Value::Nil, &entry)), Some("DELIFEQ"));
        let name = LockName::new("x").unwrap();
        let claim = Claim::new(name, ClaimId::from_bits(1), Duration::from_secs(1));
        let id = claim.id.to_string();
        let text =
            |command| String::from_utf8(release_by(command, "k", &claim).get_packed_command()).unwrap();
        assert!(text("DELEX").contains("DELEX\r\n$1\r\nk\r\n$4\r\nIFEQ\r\n$32\r\n"));
        assert!(text("DELIFEQ").ends_with(&format!("k\r\n$32\r\n{id}\r\n")));
    }
}
