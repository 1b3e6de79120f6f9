//! The plain dialect: one string a lock, as some twenty libraries keep it. No queue, no fencing token, no note.

use std::{
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use leasehold_core::{
    Busy, Claim, ClaimId, Contender, Grant, Intent, LockName, LostReason, Mode, Release, Result, Snapshot,
    Standing,
};
use redis::{Cmd, RedisWrite, Value, cmd};

use super::{Announcement, ClaimReply, Dialect, RECHECK_MAX, foreign};
use crate::{
    format::{Commands, Replies, Request, Script, millis, next, read, span, unexpected},
    keys::{Keys, escape},
    transport::ServerFacts,
};

static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/plain/release.lua")));
static FORCE_RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/plain/force_release.lua")));

/// The plain dialect.
#[derive(Debug)]
pub(crate) struct Plain {
    /// The key of a lock, with `*` for its name.
    template: String,
    /// How the channel begins on which the release of a key is announced, with the key behind it and for a message.
    releases: Option<String>,
    /// The server's own command that deletes a key with a given value: `DELEX` (Redis 8.4) or `DELIFEQ` (Valkey 9),
    /// if it has one. Unset until the first release has asked.
    compare_and_delete: OnceLock<Option<&'static str>>,
}

impl Plain {
    pub(crate) fn new(template: &str) -> Plain {
        Plain { template: template.to_string(), releases: None, compare_and_delete: OnceLock::new() }
    }

    /// The locks of a `RedisLockRegistry`, which always releases by a script: no command publishes.
    pub(crate) fn of_spring(registry: &str) -> Plain {
        let releases = Some(format!("{registry}-channel:"));
        Plain { releases, compare_and_delete: OnceLock::from(None), ..Plain::new(&format!("{registry}:*")) }
    }

    /// A call of the script that ends a hold.
    fn release_call(&self, claim: &Claim, keys: &Keys) -> Cmd {
        let mut call = RELEASE.call(&[keys.hold_key()]);
        call.write_arg_fmt(claim.id);
        self.append_channel(&mut call, keys);
        call
    }

    /// The last argument of a script that ends a hold.
    fn append_channel(&self, call: &mut Cmd, keys: &Keys) {
        if let Some(begin) = &self.releases {
            call.write_arg_fmt(format_args!("{begin}{}", keys.hold()));
        }
    }

    /// The parts of the template before and after the name.
    fn around(&self) -> (&str, &str) {
        self.template.split_once('*').unwrap_or((&self.template, ""))
    }

    fn read_release(&self, replies: Replies) -> Result<Release> {
        if let Some(known) = replies.get(1) {
            // A user without the right to ask uses the script. Another release may have been faster.
            let command = known.as_ref().ok().and_then(read_compare_and_delete);
            let _ = self.compare_and_delete.set(command);
        }
        match next(&mut replies.into_iter())? {
            Value::Int(1) => Ok(Release::Released),
            Value::Int(2) => {
                let begin = self.releases.as_deref().unwrap_or_default();
                tracing::warn!(
                    "a release wakes nobody: the server refuses to publish it, grant this user &{begin}*"
                );
                Ok(Release::Released)
            }
            Value::Int(0) => Ok(Release::NotHeld),
            other => Err(unexpected("a reply to a release", &other)),
        }
    }
}

impl Dialect for Plain {
    fn keys(&self, name: &LockName) -> Keys {
        Keys::templated(&self.template, name)
    }

    /// `SET NX PX`, and in the same piece the holder and its remaining time. An amendment makes no hold: it only reads.
    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        keys: &Keys,
        _inbox: &str,
        tracks: bool,
        _: Announcement,
    ) -> Request<'a, ClaimReply> {
        let mut commands = read_key(keys.hold());
        if claim.intent != Intent::Amend {
            commands.insert(0, set(claim, keys));
        }
        Request::commands(commands, move |replies| read_claim(claim, replies, tracks))
    }

    /// `SET NX PX` alone: where nobody is expected, nobody asks for the holder.
    fn claim_quiet(
        &self,
        claim: &Claim,
        keys: &Keys,
        _: &ServerFacts,
    ) -> Option<Request<'_, Option<ClaimReply>>> {
        let standing = Standing::Granted(Grant::lasting(None, claim.ttl));
        (claim.intent == Intent::Hold).then(|| {
            Request::commands([set(claim, keys)], move |replies| {
                let is_set = next(&mut replies.into_iter())? == Value::Okay;
                Ok(is_set.then_some(ClaimReply::Outcome { standing, is_unannounced: true }))
            })
        })
    }

    /// By the server's own command where it has one. The first release uses the script, and asks in the same piece.
    fn release(&self, claim: &Claim, keys: &Keys, _: Duration, _: Announcement) -> Request<'_, Release> {
        if let Some(command) = self.compare_and_delete.get().copied().flatten() {
            let delete = delete_by(command, keys.hold(), claim);
            return Request::commands([delete], |replies| self.read_release(replies));
        }
        let mut commands = Commands::from_iter([self.release_call(claim, keys)]);
        if self.compare_and_delete.get().is_none() {
            let mut ask = cmd("COMMAND");
            ask.arg("INFO").arg("DELEX").arg("DELIFEQ");
            commands.push(ask);
        }
        Request {
            script: Some(&RELEASE),
            ..Request::commands(commands, |replies| self.read_release(replies))
        }
    }

    /// The same once the server's commands are known.
    fn release_quiet(
        &self,
        claim: &Claim,
        keys: &Keys,
        announcement: Announcement,
        _: &ServerFacts,
    ) -> Option<Request<'_, Option<Release>>> {
        self.compare_and_delete.get()?;
        let Request { script, commands, read } = self.release(claim, keys, Duration::ZERO, announcement);
        Some(Request { script, ..Request::commands(commands, |replies| read(replies).map(Some)) })
    }

    fn inspect<'a>(&self, name: &'a LockName, keys: &Keys) -> Request<'a, Snapshot> {
        Request::commands(read_key(keys.hold()), move |replies| {
            let mut replies = replies.into_iter();
            Ok(Snapshot {
                name: name.clone(),
                holders: holders(&next(&mut replies)?, &next(&mut replies)?)?,
                waiters: Vec::new(),
                fence: None,
                members: Vec::new(),
            })
        })
    }

    fn force_release(&self, keys: &Keys, _: Announcement) -> Request<'_, Vec<Contender>> {
        let mut call = FORCE_RELEASE.call(&[keys.hold_key()]);
        self.append_channel(&mut call, keys);
        Request::call(&FORCE_RELEASE, call, |value| {
            let (value, expires_in): (Value, Value) = read(value, "a value and its time")?;
            holders(&value, &expires_in)
        })
    }

    fn patterns(&self, prefix: &str) -> Vec<String> {
        let (before, after) = self.around();
        vec![format!("{}*{}", escape(&format!("{before}{prefix}")), escape(after))]
    }

    fn name_of(&self, key: &str) -> Option<LockName> {
        let (before, after) = self.around();
        LockName::new(key.strip_prefix(before)?.strip_suffix(after)?).ok()
    }
}

fn set(claim: &Claim, keys: &Keys) -> Cmd {
    let mut set = Cmd::with_capacity(6, 128);
    set.arg("SET").arg(keys.hold()).write_arg_fmt(claim.id);
    set.arg("NX").arg("PX").arg(millis(claim.ttl));
    set
}

/// `GET` and `PTTL`.
fn read_key(key: &str) -> Vec<Cmd> {
    let (mut get, mut left) = (cmd("GET"), cmd("PTTL"));
    get.arg(key);
    left.arg(key);
    vec![get, left]
}

fn read_claim(claim: &Claim, replies: Replies, tracks: bool) -> Result<ClaimReply> {
    let values = replies.into_iter().collect::<std::result::Result<Vec<Value>, _>>()?;
    let [set @ .., value, expires_in] = &values[..] else {
        return Err(unexpected("the replies to a claim", &Value::Array(values)));
    };
    let busy = |holder, recheck_in: Duration| {
        let recheck_in = recheck_in.max(Duration::from_millis(1));
        Standing::Held(Busy { holder, ahead: None, recheck_in })
    };
    let (value, expires_in) = read_hold(value, expires_in)?;
    let standing = match value {
        _ if *set == [Value::Okay] => Standing::Granted(Grant::lasting(None, claim.ttl)),
        Some(id) if id == claim.id.to_string().as_bytes() => return Ok(ClaimReply::OwnHold),
        _ if claim.intent == Intent::Amend => Standing::Gone(LostReason::Gone),
        Some(other) => {
            let limit = if tracks { claim.ttl / 3 } else { RECHECK_MAX };
            let recheck_in = expires_in.map_or(limit, |left| (left + Duration::from_millis(1)).min(limit));
            busy(Some(holder(&other, expires_in)), recheck_in)
        }
        // The hold ended between the two commands.
        None => busy(None, Duration::ZERO),
    };
    Ok(ClaimReply::Outcome { standing, is_unannounced: true })
}

/// The value of a lock and its remaining time, as [`read_key`] asks for them.
fn read_hold(value: &Value, expires_in: &Value) -> Result<(Option<Vec<u8>>, Option<Duration>)> {
    Ok((read(value, "a value")?, span(read(expires_in, "milliseconds")?)))
}

fn holders(value: &Value, expires_in: &Value) -> Result<Vec<Contender>> {
    let (value, expires_in) = read_hold(value, expires_in)?;
    Ok(value.map(|value| holder(&value, expires_in)).into_iter().collect())
}

fn holder(value: &[u8], expires_in: Option<Duration>) -> Contender {
    // A value of this form may be a claim id or redis-py's: they cannot be told apart. The native dialect writes more.
    let id = value.split(|byte| matches!(byte, b' ' | b'/')).next().unwrap_or_default();
    match std::str::from_utf8(id).unwrap_or_default().parse::<ClaimId>() {
        Ok(id) => foreign::holder(Contender::tag_of(id), Some(Mode::Exclusive), expires_in, None),
        Err(_) => foreign::holder(0, None, expires_in, Some(foreign::describe(value))),
    }
}

/// The reply to `COMMAND INFO`: an entry for each command, nil for one that the server does not have.
pub(crate) fn read_compare_and_delete(value: &Value) -> Option<&'static str> {
    let Value::Array(entries) = value else { return None };
    let known = |at: usize| matches!(entries.get(at), Some(Value::Array(entry)) if !entry.is_empty());
    match (known(0), known(1)) {
        (true, _) => Some("DELEX"),
        (_, true) => Some("DELIFEQ"),
        _ => None,
    }
}

/// The same as the script, by the server's own command.
fn delete_by(command: &'static str, key: &str, claim: &Claim) -> Cmd {
    let mut call = cmd(command);
    call.arg(key);
    if command == "DELEX" {
        call.arg("IFEQ");
    }
    call.write_arg_fmt(claim.id);
    call
}

#[cfg(test)]
mod tests {
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
        let text = |command| String::from_utf8(delete_by(command, "k", &claim).get_packed_command()).unwrap();
        assert!(text("DELEX").contains("DELEX\r\n$1\r\nk\r\n$4\r\nIFEQ\r\n$32\r\n"));
        assert!(text("DELIFEQ").ends_with(&format!("k\r\n$32\r\n{id}\r\n")));
    }
}
