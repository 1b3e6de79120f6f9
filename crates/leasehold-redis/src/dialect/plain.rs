//! The plain dialect: one string a lock, as some twenty libraries keep it. No queue, no fencing token, no note.

use std::{sync::OnceLock, time::Duration};

use leasehold_core::{
    Busy, Claim, Contender, Grant, Intent, LockName, LostReason, Mode, Release, Renewal, Result, Snapshot,
    Stance, Standing,
};
use redis::{Cmd, Value, cmd};

use super::{Announcement, ClaimReply, Dialect, foreign, renew_script, renew_strings};
use crate::{
    format::{Reply, Request, Script, bytes, first, list, millis, span, unexpected},
    keys::{Keys, escape},
};

/// The longest sleep of a waiter that nothing wakes.
const RECHECK_MAX: Duration = Duration::from_millis(500);

/// The plain dialect.
#[derive(Debug)]
pub(crate) struct Plain {
    /// The key of a lock, with `*` for its name.
    template: String,
    release: Script,
    renew: Script,
    force_release: Script,
    /// The server's own command that deletes a key with a given value: `DELEX` (Redis 8.4) or `DELIFEQ` (Valkey 9),
    /// if it has one. Unset until the first release has asked.
    compare_and_delete: OnceLock<Option<&'static str>>,
}

impl Plain {
    pub(crate) fn new(template: &str) -> Plain {
        Plain {
            template: template.to_string(),
            release: Script::new(include_str!("../../scripts/plain/release.lua")),
            renew: renew_script(),
            force_release: Script::new(include_str!("../../scripts/plain/force_release.lua")),
            compare_and_delete: OnceLock::new(),
        }
    }

    /// The parts of the template before and after the name.
    fn around(&self) -> (&str, &str) {
        self.template.split_once('*').unwrap_or((&self.template, ""))
    }
}

impl Dialect for Plain {
    fn keys(&self, name: &LockName) -> Keys {
        Keys::templated(&self.template, name)
    }

    /// `SET NX PX`, and in the same piece the holder and its remaining time. An amendment makes no hold: it only reads.
    fn claim(&self, claim: &Claim, keys: &Keys, _inbox: &str, _announcement: Announcement) -> Request<'_> {
        let mut commands = read_key(&keys.hold);
        if claim.intent != Intent::Amend {
            let mut set = cmd("SET");
            set.arg(&keys.hold).arg(claim.id.to_string()).arg("NX").arg("PX").arg(millis(claim.ttl));
            commands.insert(0, set);
        }
        Request::commands(commands)
    }

    fn read_claim(&self, claim: &Claim, replies: Vec<Reply>, tracks: bool) -> Result<ClaimReply> {
        let values = replies.into_iter().collect::<std::result::Result<Vec<Value>, _>>()?;
        let amends = claim.intent == Intent::Amend;
        let outcome = |standing| Ok(ClaimReply::Outcome { standing, is_unannounced: true });
        if !amends && values.first() == Some(&Value::Okay) {
            return outcome(Standing::Granted(Grant::lasting(None, claim.ttl)));
        }
        let at = usize::from(!amends);
        let (value, expires_in) = (bytes(values.get(at)), span(values.get(at + 1))?);
        let busy = |holder, recheck_in: Duration| {
            let recheck_in = recheck_in.max(Duration::from_millis(1));
            Standing::Held(Busy { holder, ahead: None, recheck_in })
        };
        match value {
            Some(id) if id == claim.id.to_string().as_bytes() => Ok(ClaimReply::OwnHold),
            _ if amends => outcome(Standing::Gone(LostReason::Gone)),
            Some(other) => {
                let limit = if tracks { claim.ttl / 3 } else { RECHECK_MAX };
                let recheck_in =
                    expires_in.map_or(limit, |left| (left + Duration::from_millis(1)).min(limit));
                outcome(busy(Some(holder(other, expires_in)), recheck_in))
            }
            // The hold ended between the two commands.
            None => outcome(busy(None, Duration::ZERO)),
        }
    }

    /// By the server's own command where it has one. The first release uses the script, and asks in the same piece.
    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        _refuse: Duration,
        _announcement: Announcement,
    ) -> Request<'_> {
        if let Some(command) = self.compare_and_delete.get().copied().flatten() {
            return Request::commands(vec![delete_by(command, &keys.hold, claim)]);
        }
        let mut call = self.release.call([keys.hold.as_str()]);
        call.arg(claim.id.to_string());
        let mut request = Request::call(&self.release, call);
        if self.compare_and_delete.get().is_none() {
            let mut ask = cmd("COMMAND");
            ask.arg("INFO").arg("DELEX").arg("DELIFEQ");
            request.commands.push(ask);
        }
        request
    }

    fn read_release(&self, mut replies: Vec<Reply>) -> Result<Release> {
        if let Some(known) = replies.get(1) {
            // A user without the right to ask uses the script. Another release may have been faster.
            let command = known.as_ref().ok().and_then(read_compare_and_delete);
            let _ = self.compare_and_delete.set(command);
        }
        match first(&mut replies)? {
            Value::Int(1) => Ok(Release::Released),
            Value::Int(0) => Ok(Release::NotHeld),
            other => Err(unexpected("a reply to a release", &other)),
        }
    }

    fn renew(&self, claims: &[&Claim], keys: &[Keys]) -> Request<'_> {
        renew_strings(&self.renew, claims, keys)
    }

    fn renew_entry(&self, _claim: &Claim, _keys: &Keys, _announcement: Announcement) -> Option<Request<'_>> {
        None
    }

    fn read_renew_entry(&self, _replies: Vec<Reply>) -> Result<Renewal> {
        Ok(Renewal::Gone(LostReason::Gone))
    }

    fn inspect(&self, keys: &Keys) -> Request<'_> {
        Request::commands(read_key(&keys.hold))
    }

    fn read_snapshot(&self, name: &LockName, mut replies: Vec<Reply>) -> Result<Snapshot> {
        let (value, expires_in) = (first(&mut replies)?, first(&mut replies)?);
        Ok(Snapshot {
            name: name.clone(),
            holders: holders(&value, &expires_in)?,
            waiters: Vec::new(),
            fence: None,
            members: Vec::new(),
        })
    }

    fn force_release(&self, keys: &Keys, _announcement: Announcement) -> Request<'_> {
        Request::call(&self.force_release, self.force_release.call([keys.hold.as_str()]))
    }

    fn read_force_release(&self, mut replies: Vec<Reply>) -> Result<Vec<Contender>> {
        match &list(first(&mut replies)?, "a value and its time")?[..] {
            [value, expires_in] => holders(value, expires_in),
            other => Err(unexpected("a value and its time", &Value::Array(other.to_vec()))),
        }
    }

    fn observe(&self, _keys: &Keys, _span: Duration) -> Option<(String, Request<'_>)> {
        None
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

/// `GET` and `PTTL`.
fn read_key(key: &str) -> Vec<Cmd> {
    let (mut get, mut left) = (cmd("GET"), cmd("PTTL"));
    get.arg(key);
    left.arg(key);
    vec![get, left]
}

fn holders(value: &Value, expires_in: &Value) -> Result<Vec<Contender>> {
    let expires_in = span(Some(expires_in))?;
    Ok(bytes(Some(value)).map(|value| holder(value, expires_in)).into_iter().collect())
}

fn holder(value: &[u8], expires_in: Option<Duration>) -> Contender {
    let text = std::str::from_utf8(value).unwrap_or_default();
    // A value of this form may be a claim id or redis-py's: they cannot be told apart.
    let id = text.parse::<leasehold_core::ClaimId>().ok();
    Contender {
        tag: id.map_or(0, Contender::tag_of),
        stance: Stance::Holding,
        mode: id.map(|_| Mode::Exclusive),
        expires_in,
        age: None,
        fence: None,
        note: if id.is_some() { None } else { Some(foreign::describe(value).into()) },
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
    call.arg(claim.id.to_string());
    call
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
        let text = |command| String::from_utf8(delete_by(command, "k", &claim).get_packed_command()).unwrap();
        assert!(text("DELEX").contains("DELEX\r\n$1\r\nk\r\n$4\r\nIFEQ\r\n$32\r\n"));
        assert!(text("DELIFEQ").ends_with(&format!("k\r\n$32\r\n{id}\r\n")));
    }
}
