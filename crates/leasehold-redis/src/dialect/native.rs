//! The native dialect: all modes, queues and fencing tokens, in the scripts of `scripts/native`.

mod format;

use std::{fmt, iter, sync::LazyLock, time::Duration};

use leasehold_core::{
    Claim, Contender, FencingToken, Intent, LockName, Mode, Queueing, Release, Renewal, Snapshot,
};
use redis::{Cmd, RedisWrite};

use super::{Announcement, ClaimReply, Dialect, RENEW};
use crate::{
    format::{Request, Script, millis},
    keys::{FENCE, Key, Keys, META, OURS, SIDES, escape},
    server_info::MARKER,
    transport::{ServerFacts, ServerTime},
};

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/native/claim.lua"), &PAIR));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/native/release.lua"), &PAIR));
static CLAIM_QUIET: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/native/claim_quiet.lua"), &PAIR));
static CLAIM_VOTE: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/native/claim_vote.lua"), &VOTE));
static RELEASE_QUIET: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/native/release_quiet.lua"), &PAIR));
static RENEW_ENTRY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/renew_entry.lua")));
static INSPECT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/inspect.lua")));
static FORCE_RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/force_release.lua")));
static OBSERVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/native/observe.lua")));

/// The scripts of a claim and its release, and of its renewals, which many holds of a client need at the same moment.
static PAIR: [&LazyLock<Script>; 5] = [&CLAIM_QUIET, &RELEASE_QUIET, &CLAIM, &RELEASE, &RENEW];
/// The same for a member of a quorum.
static VOTE: [&LazyLock<Script>; 5] = [&CLAIM_VOTE, &RELEASE_QUIET, &CLAIM, &RELEASE, &RENEW];

/// The native dialect.
#[derive(Debug)]
pub(crate) struct Native {
    /// The marker that a member of a quorum gets if it has lost its own.
    pub(crate) marker: Option<String>,
    /// Whether releases may reserve tokens.
    pub(crate) reserves: bool,
}

/// A call of a script with the nine keys of a lock.
fn call(script: &Script, keys: &Keys) -> Cmd {
    script.call(&all_keys(keys))
}

fn all_keys(keys: &Keys) -> Vec<Key<'_>> {
    iter::once(keys.hold_key()).chain(SIDES.iter().map(|end| keys.side(end))).collect()
}

/// A call of a short script, with the value of the hold key and the time to live.
fn quiet_call(script: &Script, keys: &[Key<'_>], claim: &Claim, time: ServerTime) -> Cmd {
    let mut call = script.call(keys);
    write_hold(&mut call, claim, time, format_args!(""));
    call.arg(millis(claim.ttl));
    call
}

/// The value of the hold key; `token` is empty, or a reserved one with its mark.
fn write_hold(call: &mut Cmd, claim: &Claim, time: ServerTime, token: fmt::Arguments<'_>) {
    let (since, note) = (time.0 / 1000, claim.note.as_deref());
    let mark = if note.is_some() { " =" } else { "" };
    call.write_arg_fmt(format_args!("{} {since}{token}{mark}{}", claim.id, note.unwrap_or_default()));
}

/// A claim by a reserved token, without a script: the hold is set where there is none, and granted if the token is still the
/// counter after that. Otherwise other scripts take it as none, or the script for all claims as this claim's own. A member of a
/// quorum answers its marker, too. `GETEX` is a write: a proxy that reads from replicas does not send it to one.
fn claim_reserved(
    claim: &Claim,
    keys: &Keys,
    time: ServerTime,
    token: FencingToken,
    facts: &ServerFacts,
    is_member: bool,
) -> Request<'static, Option<ClaimReply>> {
    let mut set = Cmd::with_capacity(6, 192);
    set.arg("SET").write_arg_fmt(keys.hold_key());
    write_hold(&mut set, claim, time, format_args!("#{token}"));
    set.arg("NX").arg("PX").arg(millis(claim.ttl));
    let read = |key: Key<'_>| {
        let mut read = Cmd::with_capacity(2, 64);
        read.arg("GETEX").write_arg_fmt(key);
        read
    };
    let marker = is_member.then(|| read(MARKER.into()));
    let commands = [set, read(keys.side(FENCE))].into_iter().chain(marker);
    let (ttl, name, reserved) = (claim.ttl, claim.name.clone(), facts.reserved.clone());
    Request::commands(commands, move |replies| {
        let reply = format::read_claim_reserved(&replies, token, ttl, time);
        if !matches!(reply, Some(ClaimReply::Outcome { .. })) {
            reserved.note_others(&name, time);
        }
        Ok(reply)
    })
}

/// The least token of a grant by the short way at a member of a quorum. One that is ahead of the server's clock by more than tokens
/// stay behind it is for the way for all cases, which keeps the counter for longer then.
fn least_vote(time: ServerTime, proposal: Option<FencingToken>) -> Option<FencingToken> {
    let least = FencingToken::new(time.0.saturating_sub(FencingToken::SLACK_US)).ok();
    let token = least.max(proposal)?;
    (token.get() <= time.0 + FencingToken::SLACK_US).then_some(token)
}

/// Whether a claim is of the kind that the short scripts serve.
fn is_quiet(claim: &Claim) -> bool {
    claim.mode == Mode::Exclusive && claim.lock_delay.is_zero()
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
            Mode::Permits { take, of } => ('p', take, of),
            Mode::Shared => ('s', 0, 0),
            _ => ('x', 0, 0),
        };
        let intent = if claim.intent == Intent::Amend { 'a' } else { 'h' };
        let queueing = match claim.queueing {
            Queueing::No => 'n',
            Queueing::Barging => 'b',
            Queueing::Fifo => 'f',
        };
        let mut all = all_keys(keys);
        all.extend(self.marker.as_ref().map(|_| Key::from(MARKER)));
        let mut call = CLAIM.call(&all);
        call.arg(claim.id.to_string()).arg(String::from_iter([mode, intent, queueing])).arg(take).arg(of);
        call.arg(millis(claim.ttl)).arg(millis(claim.lock_delay));
        call.arg(claim.fence_floor.map_or(0, FencingToken::get)).arg(inbox);
        announcement.append_to(&mut call, keys);
        call.arg(claim.fence_floor.max(claim.fence_proposal).map_or(0, FencingToken::get));
        call.arg(self.marker.as_deref().unwrap_or_default());
        if let Some(note) = &claim.note {
            call.arg(note.as_bytes());
        }
        Request::call(&CLAIM, call, format::read_claim)
    }

    fn claim_quiet(
        &self,
        claim: &Claim,
        lock: &Keys,
        facts: &ServerFacts,
    ) -> Option<Request<'_, Option<ClaimReply>>> {
        let time = facts.time.filter(|_| is_quiet(claim) && claim.intent == Intent::Hold)?;
        let (ttl, least) = (claim.ttl, claim.fence_floor.max(claim.fence_proposal));
        let keys = [lock.hold_key(), lock.side(FENCE), lock.side(META), MARKER.into()];
        let is_member = self.marker.is_some();
        let reserved = self.reserves.then(|| facts.reserved.take(&claim.name, time)).flatten();
        if let Some(token) = reserved.filter(|token| Some(*token) >= least) {
            return Some(claim_reserved(claim, lock, time, token, facts, is_member));
        }
        if is_member {
            let mut call = quiet_call(&CLAIM_VOTE, &keys, claim, time);
            let least = least_vote(time, least)?;
            call.arg(least.get());
            return Some(Request::call(&CLAIM_VOTE, call, move |value| {
                format::read_vote(value, time, least, ttl)
            }));
        }
        if least.is_some() {
            return None;
        }
        let mut call = quiet_call(&CLAIM_QUIET, &keys[..3], claim, time);
        call.arg(time.least_token()).arg(u8::from(claim.queueing == Queueing::No));
        Some(Request::call(&CLAIM_QUIET, call, move |value| format::read_claim_quiet(value, ttl)))
    }

    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_, Release> {
        let mut call = call(&RELEASE, keys);
        call.arg(claim.id.to_string());
        announcement.append_to(&mut call, keys);
        call.arg(millis(refuse));
        Request::call(&RELEASE, call, format::read_release)
    }

    fn release_quiet(
        &self,
        claim: &Claim,
        keys: &Keys,
        _: Announcement,
        facts: &ServerFacts,
    ) -> Option<Request<'_, Option<Release>>> {
        if !is_quiet(claim) {
            return None;
        }
        let keys = [keys.hold_key(), keys.side(META), keys.side(FENCE)];
        let time = facts.time.filter(|_| self.reserves);
        let reserves = time.is_some_and(|time| facts.reserved.is_wanted(&claim.name, time));
        let mut call = RELEASE_QUIET.call(&keys[..if reserves { 3 } else { 2 }]);
        call.write_arg_fmt(format_args!("{} ", claim.id));
        let kept = reserves.then(|| (facts.reserved.clone(), claim.name.clone()));
        Some(Request::call(&RELEASE_QUIET, call, move |value| {
            let (release, token) = format::read_release_quiet(value)?;
            if let (Some(token), Some((reserved, name))) = (token, kept) {
                reserved.put(&name, token);
            }
            Ok(Some(release).filter(|release| *release == Release::Released))
        }))
    }

    fn owner(&self, claim: &Claim) -> String {
        format!("{} ", claim.id)
    }

    fn renew_entry(
        &self,
        claim: &Claim,
        keys: &Keys,
        announcement: Announcement,
    ) -> Option<Request<'_, Renewal>> {
        let mut call = call(&RENEW_ENTRY, keys);
        call.arg(claim.id.to_string()).arg(millis(claim.ttl));
        announcement.append_to(&mut call, keys);
        Some(Request::call(&RENEW_ENTRY, call, format::read_renew_entry))
    }

    fn inspect<'a>(&self, name: &'a LockName, keys: &Keys) -> Request<'a, Snapshot> {
        Request::call(&INSPECT, call(&INSPECT, keys), |value| format::read_snapshot(name, value))
    }

    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_, Vec<Contender>> {
        let mut call = call(&FORCE_RELEASE, keys);
        announcement.append_to(&mut call, keys);
        Request::call(&FORCE_RELEASE, call, format::read_force_release)
    }

    fn observe(&self, keys: &Keys, span: Duration) -> Option<Request<'_, ()>> {
        let mut call = OBSERVE.call(&[keys.side(META), keys.hold_key(), keys.side(FENCE)]);
        call.arg(millis(span));
        Some(Request::call(&OBSERVE, call, |_| Ok(())))
    }

    /// Locks of other libraries are found only under a prefix: without one, they would be all keys of the server.
    fn patterns(&self, prefix: &str) -> Vec<String> {
        let foreign = (!prefix.is_empty()).then(|| format!("{}*", escape(prefix)));
        Keys::patterns(prefix).into_iter().chain(foreign).collect()
    }

    fn name_of(&self, key: &str) -> Option<LockName> {
        if key.starts_with(OURS) { Keys::name_of(key) } else { LockName::new(key).ok() }
    }
}
