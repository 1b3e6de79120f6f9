//! The dialect of Redisson: `RLock`, `RFencedLock`, `RSpinLock` and `RReadWriteLock`, one hash a lock;
//! `RPermitExpirableSemaphore`; a counter of fencing tokens for each name.

mod format;

use std::{sync::LazyLock, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Contender, FencingToken, Intent, LockName, LostReason, Mode, Queueing, Release, Renewal,
    Snapshot,
};
use redis::{Cmd, RedisWrite};

use super::{Announcement, ClaimReply, Dialect, read_renewals};
use crate::{
    format::{Request, Script, millis},
    keys::{Keys, crc16, escape},
    transport::ServerFacts,
};

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/redisson/claim.lua"), &PAIR));
static CLAIM_QUIET: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/redisson/claim_quiet.lua"), &PAIR));
static RELEASE_QUIET: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/redisson/release_quiet.lua"), &PAIR));
static CLAIM_PERMITS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/redisson/claim_permits.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::of(include_str!("../../scripts/redisson/release.lua"), &PAIR));
static RENEW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/redisson/renew.lua")));
static RENEW_PERMITS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/redisson/renew_permits.lua")));
static INSPECT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/redisson/inspect.lua")));
static FORCE_RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/redisson/force_release.lua")));

/// The scripts of a claim and its release, and of its renewals, which many holds of a client need at the same moment.
static PAIR: [&LazyLock<Script>; 5] = [&CLAIM_QUIET, &RELEASE_QUIET, &CLAIM, &RELEASE, &RENEW];

/// The most permits of one claim: each is an entry of its own, which every renewal writes.
pub(crate) const TAKE_MAX: u32 = 1000;

/// The dialect of Redisson.
#[derive(Debug)]
pub(crate) struct Redisson {
    pub(crate) is_cluster: bool,
}

/// The field of a claim, `CLIENT:THREAD`: both follow from its id, so that a claim is one owner whoever repeats it.
pub(super) fn owner(id: ClaimId) -> String {
    let hex = id.to_string();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("{}:{}", parts.join("-"), thread(id))
}

/// The thread of a claim; that of a client of Redisson is another.
fn thread(id: ClaimId) -> i64 {
    let (high, low) = ((id.bits() >> 64) as u64, id.bits() as u64);
    ((high ^ low) >> 1) as i64
}

/// How the permits of a claim begin: a part of its id, and a sum by which they are known for ours. A number follows.
fn permits(id: ClaimId) -> Vec<u8> {
    let part = &id.bits().to_be_bytes()[..12];
    [part, &crc16(part).to_be_bytes()].concat()
}

fn token_key(keys: &Keys) -> String {
    keys.under("redisson_lock_token")
}

/// The key that is there while a claim is refused.
fn refusal_key(claim: &Claim, keys: &Keys) -> String {
    format!("{}:{}", keys.under("leasehold:refused"), claim.id)
}

impl Redisson {
    /// A call with the first arguments of `locks.lua`; without an announcement nothing is published. Clients of a Cluster
    /// subscribe by shard, if they can: this one may not.
    fn call(&self, script: &Script, more: &[String], keys: &Keys, how: Option<Announcement>) -> Cmd {
        let all = [keys.hold()].into_iter().chain(more.iter().map(String::as_str));
        let mut call = script.call(&all.collect::<Vec<_>>());
        self.append_channels(&mut call, keys, how);
        call
    }

    fn append_channels(&self, call: &mut Cmd, keys: &Keys, how: Option<Announcement>) {
        call.write_arg_fmt(keys.side(""));
        if let Some(Announcement { command, .. }) = how {
            call.arg(command).arg(if self.is_cluster { "SPUBLISH" } else { command });
        }
    }
}

impl Dialect for Redisson {
    fn keys(&self, name: &LockName) -> Keys {
        Keys::redisson(name, self.is_cluster)
    }

    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        keys: &Keys,
        _inbox: &str,
        tracks: bool,
        announcement: Announcement,
    ) -> Request<'a, ClaimReply> {
        let script = if let Mode::Permits { .. } = claim.mode { &CLAIM_PERMITS } else { &CLAIM };
        let more = [token_key(keys), refusal_key(claim, keys)];
        let mut call = self.call(script, &more, keys, Some(announcement));
        match claim.mode {
            Mode::Permits { .. } => call.arg(permits(claim.id)),
            _ => call.arg(owner(claim.id)),
        };
        call.arg(millis(claim.ttl)).arg(if claim.intent == Intent::Amend { "a" } else { "h" });
        match claim.mode {
            Mode::Permits { take, .. } => call.arg(take),
            Mode::Shared => call.arg("s"),
            _ => call.arg("x"),
        };
        for least in [claim.fence_floor.max(claim.fence_proposal), claim.fence_floor] {
            call.arg(least.map_or(0, FencingToken::get));
        }
        if let Mode::Permits { of, .. } = claim.mode {
            call.arg(of);
        }
        Request::call(script, call, move |value| format::read_claim(claim, value, tracks))
    }

    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_, Release> {
        let mut call = self.call(&RELEASE, &[refusal_key(claim, keys)], keys, Some(announcement));
        call.arg(owner(claim.id)).arg(permits(claim.id)).arg(millis(refuse));
        Request::call(&RELEASE, call, format::read_release)
    }

    fn claim_quiet(
        &self,
        claim: &Claim,
        keys: &Keys,
        facts: &ServerFacts,
    ) -> Option<Request<'_, Option<ClaimReply>>> {
        let least = claim.fence_floor.max(claim.fence_proposal).map_or(0, FencingToken::get);
        let may_wait = claim.intent == Intent::Hold && claim.queueing != Queueing::No;
        let time = facts.time.filter(|_| may_wait && claim.mode == Mode::Exclusive)?;
        let (counter, refusal) = (token_key(keys), refusal_key(claim, keys));
        let mut call = CLAIM_QUIET.call(&[keys.hold(), &counter, &refusal]);
        call.arg(owner(claim.id)).arg(millis(claim.ttl)).arg(time.least_token().max(least));
        let ttl = claim.ttl;
        Some(Request::call(&CLAIM_QUIET, call, move |value| format::read_claim_quiet(value, ttl)))
    }

    fn release_quiet(
        &self,
        claim: &Claim,
        keys: &Keys,
        announcement: Announcement,
        _: &ServerFacts,
    ) -> Option<Request<'_, Option<Release>>> {
        if claim.mode != Mode::Exclusive {
            return None;
        }
        let mut call = RELEASE_QUIET.call(&[keys.hold_key()]);
        call.arg(owner(claim.id));
        self.append_channels(&mut call, keys, Some(announcement));
        Some(Request::call(&RELEASE_QUIET, call, |value| {
            Ok(Some(format::read_release(value)?).filter(|release| *release == Release::Released))
        }))
    }

    fn renewal(&self, claims: &[&Claim], keys: &[Keys]) -> (&'static Script, Cmd) {
        let mut call = RENEW.call(&keys.iter().map(Keys::hold_key).collect::<Vec<_>>());
        for (claim, keys) in claims.iter().zip(keys) {
            let owner = owner(claim.id);
            call.arg(&owner).arg(millis(claim.ttl));
            call.write_arg_fmt(keys.side(&format!(":{owner}:rwlock_timeout:1")));
        }
        (&RENEW, call)
    }

    fn renew_entry(
        &self,
        claim: &Claim,
        keys: &Keys,
        announcement: Announcement,
    ) -> Option<Request<'_, Renewal>> {
        let (script, call) = match claim.mode {
            Mode::Exclusive => return None,
            Mode::Permits { take, .. } => {
                let mut call = self.call(&RENEW_PERMITS, &[], keys, Some(announcement));
                call.arg(permits(claim.id)).arg(millis(claim.ttl)).arg(take);
                (&*RENEW_PERMITS, call)
            }
            _ => self.renewal(&[claim], std::slice::from_ref(keys)),
        };
        Some(Request::call(script, call, |value| {
            Ok(read_renewals(value)?.pop().unwrap_or(Renewal::Gone(LostReason::Gone)))
        }))
    }

    fn releases(&self, keys: &Keys) -> Option<String> {
        Some(keys.under("redisson_lock__channel"))
    }

    fn inspect<'a>(&self, name: &'a LockName, keys: &Keys) -> Request<'a, Snapshot> {
        let call = self.call(&INSPECT, &[token_key(keys)], keys, None);
        Request::call(&INSPECT, call, |value| {
            let (holders, fence) = format::read_lock(value)?;
            Ok(Snapshot { name: name.clone(), holders, waiters: Vec::new(), fence, members: Vec::new() })
        })
    }

    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_, Vec<Contender>> {
        let call = self.call(&FORCE_RELEASE, &[token_key(keys)], keys, Some(announcement));
        Request::call(&FORCE_RELEASE, call, |value| Ok(format::read_lock(value)?.0))
    }

    fn patterns(&self, prefix: &str) -> Vec<String> {
        vec![format!("{}*", escape(prefix))]
    }

    fn name_of(&self, key: &str) -> Option<LockName> {
        LockName::new(key).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_the_form_of_redissons_and_follows_from_the_claim() {
        let id = ClaimId::from_bits(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let field = owner(id);
        assert!(field.starts_with("00112233-4455-6677-8899-aabbccddeeff:"), "{field}");
        let thread: i64 = field[37..].parse().unwrap();
        assert!(thread > 0);
        assert_eq!(field, owner(id));
    }
}
