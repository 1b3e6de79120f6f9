//! The native dialect: all modes, queues and fencing tokens, in the scripts of `scripts/native`.

mod format;

use std::{iter, sync::LazyLock, time::Duration};

use leasehold_core::{
    Claim, Contender, FencingToken, Intent, LockName, Mode, Queueing, Release, Renewal, Snapshot,
};
use redis::Cmd;

use super::{Announcement, ClaimReply, Dialect};
use crate::{
    format::{Request, Script, millis},
    keys::{Keys, OURS, SIDES, escape},
    server_info::MARKER,
};

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/claim.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/release.lua")));
static RENEW_ENTRY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/renew_entry.lua")));
static INSPECT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/inspect.lua")));
static FORCE_RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/force_release.lua")));
static OBSERVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/observe.lua")));

/// The native dialect.
#[derive(Debug)]
pub(crate) struct Native {
    /// The marker that a member of a quorum gets if it has lost its own.
    pub(crate) marker: Option<String>,
}

/// A call of a script with the eight keys of a lock, and `more`.
fn call(script: &Script, keys: &Keys, more: Option<&str>) -> Cmd {
    let sides = SIDES.map(|end| keys.side(end));
    script.call(iter::once(keys.hold.as_str()).chain(sides.iter().map(String::as_str)).chain(more))
}

impl Dialect for Native {
    fn keys(&self, name: &LockName) -> Keys {
        Keys::of(name)
    }

    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        keys: &Keys,
        inbox: &str,
        _tracks: bool,
        announcement: Announcement,
    ) -> Request<'a, ClaimReply> {
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
        let mut call = call(&CLAIM, keys, self.marker.as_ref().map(|_| MARKER));
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
        Request::call(&CLAIM, call, format::read_claim)
    }

    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_, Release> {
        let mut call = call(&RELEASE, keys, None);
        call.arg(claim.id.to_string());
        announcement.append_to(&mut call, keys);
        call.arg(millis(refuse));
        Request::call(&RELEASE, call, format::read_release)
    }

    fn renew_entry(
        &self,
        claim: &Claim,
        keys: &Keys,
        announcement: Announcement,
    ) -> Option<Request<'_, Renewal>> {
        let mut call = call(&RENEW_ENTRY, keys, None);
        call.arg(claim.id.to_string()).arg(millis(claim.ttl));
        announcement.append_to(&mut call, keys);
        Some(Request::call(&RENEW_ENTRY, call, format::read_renew_entry))
    }

    fn inspect<'a>(&self, name: &'a LockName, keys: &Keys) -> Request<'a, Snapshot> {
        Request::call(&INSPECT, call(&INSPECT, keys, None), |value| format::read_snapshot(name, value))
    }

    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_, Vec<Contender>> {
        let mut call = call(&FORCE_RELEASE, keys, None);
        call.arg(FencingToken::SLACK_US);
        announcement.append_to(&mut call, keys);
        Request::call(&FORCE_RELEASE, call, format::read_force_release)
    }

    fn observe(&self, keys: &Keys, span: Duration) -> Option<Request<'_, ()>> {
        let mut call = OBSERVE.call([keys.side(SIDES[0]).as_str()]);
        call.arg(millis(span));
        Some(Request::call(&OBSERVE, call, |_| Ok(())))
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
