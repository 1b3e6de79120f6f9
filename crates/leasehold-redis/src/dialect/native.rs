//! The native dialect: all modes, queues and fencing tokens, in the scripts of `scripts/native`.

mod format;

use std::time::Duration;

use leasehold_core::{
    Claim, Contender, FencingToken, Intent, LockName, Mode, Queueing, Release, Renewal, Result, Snapshot,
};
use redis::Cmd;

use super::{Announcement, ClaimReply, Dialect, renew_script, renew_strings};
use crate::{
    format::{Reply, Request, Script, first, millis},
    keys::{Keys, OURS, SIDES, escape},
    quorum_membership::MARKER,
};

/// The native dialect.
#[derive(Debug)]
pub(crate) struct Native {
    claim: Script,
    release: Script,
    renew: Script,
    renew_entry: Script,
    inspect: Script,
    force_release: Script,
    observe: Script,
    /// The marker that a member of a quorum gets if it has lost its own.
    marker: Option<String>,
}

impl Native {
    pub(crate) fn new(marker: Option<String>) -> Native {
        Native {
            claim: Script::new(include_str!("../../scripts/native/claim.lua")),
            release: Script::new(include_str!("../../scripts/native/release.lua")),
            renew: renew_script(),
            renew_entry: Script::new(include_str!("../../scripts/native/renew_entry.lua")),
            inspect: Script::new(include_str!("../../scripts/native/inspect.lua")),
            force_release: Script::new(include_str!("../../scripts/native/force_release.lua")),
            observe: Script::new(include_str!("../../scripts/native/observe.lua")),
            marker,
        }
    }
}

/// A call of a script with the eight keys of a lock, and `more`.
fn call(script: &Script, keys: &Keys, more: Option<&str>) -> Cmd {
    let sides = SIDES.map(|end| keys.side(end));
    script.call(std::iter::once(keys.hold.as_str()).chain(sides.iter().map(String::as_str)).chain(more))
}

impl Dialect for Native {
    fn keys(&self, name: &LockName) -> Keys {
        Keys::of(name)
    }

    fn claim(&self, claim: &Claim, keys: &Keys, inbox: &str, announcement: Announcement) -> Request<'_> {
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
        let mut call = call(&self.claim, keys, self.marker.as_ref().map(|_| MARKER));
        call.arg(claim.id.to_string()).arg(mode).arg(take).arg(of).arg(queueing);
        call.arg(millis(claim.ttl)).arg(millis(claim.lock_delay));
        call.arg(if claim.intent == Intent::Amend { "a" } else { "h" });
        call.arg(claim.fence_floor.map_or(0, FencingToken::get)).arg(FencingToken::SLACK_US).arg(inbox);
        announcement.append_to(&mut call, keys);
        call.arg(claim.fence_floor.max(claim.fence_proposal).map_or(0, FencingToken::get));
        call.arg(self.marker.as_deref().unwrap_or_default());
        if let Some(note) = &claim.note {
            call.arg(note.as_bytes());
        }
        Request::call(&self.claim, call)
    }

    fn read_claim(&self, _claim: &Claim, mut replies: Vec<Reply>, _tracks: bool) -> Result<ClaimReply> {
        let (standing, is_foreign) = format::read_claim(first(&mut replies)?)?;
        Ok(ClaimReply::Outcome { standing, is_unannounced: is_foreign })
    }

    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_> {
        let mut call = call(&self.release, keys, None);
        call.arg(claim.id.to_string());
        announcement.append_to(&mut call, keys);
        call.arg(millis(refuse));
        Request::call(&self.release, call)
    }

    fn read_release(&self, mut replies: Vec<Reply>) -> Result<Release> {
        format::read_release(first(&mut replies)?)
    }

    fn renew(&self, claims: &[&Claim], keys: &[Keys]) -> Request<'_> {
        renew_strings(&self.renew, claims, keys)
    }

    fn renew_entry(&self, claim: &Claim, keys: &Keys, announcement: Announcement) -> Option<Request<'_>> {
        let mut call = call(&self.renew_entry, keys, None);
        call.arg(claim.id.to_string()).arg(millis(claim.ttl));
        announcement.append_to(&mut call, keys);
        Some(Request::call(&self.renew_entry, call))
    }

    fn read_renew_entry(&self, mut replies: Vec<Reply>) -> Result<Renewal> {
        format::read_renew_entry(first(&mut replies)?)
    }

    fn inspect(&self, keys: &Keys) -> Request<'_> {
        Request::call(&self.inspect, call(&self.inspect, keys, None))
    }

    fn read_snapshot(&self, name: &LockName, mut replies: Vec<Reply>) -> Result<Snapshot> {
        format::read_snapshot(name, first(&mut replies)?)
    }

    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_> {
        let mut call = call(&self.force_release, keys, None);
        call.arg(FencingToken::SLACK_US);
        announcement.append_to(&mut call, keys);
        Request::call(&self.force_release, call)
    }

    fn read_force_release(&self, mut replies: Vec<Reply>) -> Result<Vec<Contender>> {
        format::read_force_release(first(&mut replies)?)
    }

    fn observe(&self, keys: &Keys, span: Duration) -> Option<(String, Request<'_>)> {
        let mut call = self.observe.call([keys.side(SIDES[0]).as_str()]);
        call.arg(millis(span));
        Some((keys.changes(), Request::call(&self.observe, call)))
    }

    /// Locks of other libraries are found only under a prefix: without one, they would be all keys of the server.
    fn patterns(&self, prefix: &str) -> Vec<String> {
        let foreign = (!prefix.is_empty()).then(|| format!("{}*", escape(prefix)));
        Keys::meta_patterns(prefix).into_iter().chain(foreign).collect()
    }

    fn name_of(&self, key: &str) -> Option<LockName> {
        if key.starts_with(OURS) { Keys::name_of_meta(key) } else { LockName::new(key).ok() }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    //! Replies as fuzz targets make them.

    use leasehold_core::LockName;
    use redis::Value;

    use super::format;

    /// Reads a value as a reply to each verb: each answers or fails.
    pub(crate) fn read(name: &LockName, value: &Value) {
        let _ = format::read_claim(value.clone());
        let _ = format::read_release(value.clone());
        let _ = format::read_renew_entry(value.clone());
        let _ = format::read_force_release(value.clone());
        let _ = format::read_snapshot(name, value.clone());
    }
}
