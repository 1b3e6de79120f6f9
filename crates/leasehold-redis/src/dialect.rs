//! [`Dialect`]: a format of locks on the server, one file for each.

pub(crate) mod foreign;
pub(crate) mod native;
pub(crate) mod plain;
pub(crate) mod redisson;

use std::{fmt::Debug, sync::LazyLock, time::Duration};

use leasehold_core::{Claim, Contender, LockName, LostReason, Release, Renewal, Result, Snapshot, Standing};
use redis::{Cmd, RedisWrite, Value};

use crate::{
    format::{Request, Script, millis, read, span},
    keys::Keys,
    transport::ServerFacts,
};

static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/shared/renew.lua")));

/// The longest sleep of a waiter that may miss a release.
pub(crate) const RECHECK_MAX: Duration = Duration::from_millis(500);

/// A format of locks: the request of each verb, and the meaning of its replies. No I/O.
pub(crate) trait Dialect: Debug + Send + Sync {
    fn keys(&self, name: &LockName) -> Keys;

    /// A claim. Its turn is announced on the channel `inbox`, unless that is empty; `tracks` tells whether this client
    /// hears of changes by key tracking.
    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        keys: &Keys,
        inbox: &str,
        tracks: bool,
        announcement: Announcement,
    ) -> Request<'a, ClaimReply>;

    /// A claim that is granted where nobody else is; `None` if [`Dialect::claim`] is the way for it. Its reply is `None`
    /// when nothing has changed and [`Dialect::claim`] is to be asked. `facts` are of the connection that sends it.
    fn claim_quiet(
        &self,
        _claim: &Claim,
        _keys: &Keys,
        _: &ServerFacts,
    ) -> Option<Request<'_, Option<ClaimReply>>> {
        None
    }

    /// The same for the release of a claim of which no request is under way.
    fn release_quiet(
        &self,
        _claim: &Claim,
        _keys: &Keys,
        _: Announcement,
        _: &ServerFacts,
    ) -> Option<Request<'_, Option<Release>>> {
        None
    }

    /// A release. For the time `refuse`, the claim's id is not granted again where the dialect can prevent it.
    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_, Release>;

    /// How the value of the hold key of an exclusive hold without a lock-delay begins.
    fn owner(&self, claim: &Claim) -> String {
        claim.id.to_string()
    }

    /// The script of [`Dialect::renew`], and its call with an owner and a time for each key.
    fn renewal(&self, claims: &[&Claim], keys: &[Keys]) -> (&'static Script, Cmd) {
        let mut call = RENEW.call(&keys.iter().map(Keys::hold_key).collect::<Vec<_>>());
        for claim in claims {
            call.arg(self.owner(claim)).arg(millis(claim.ttl));
        }
        (&RENEW, call)
    }

    /// The channel on which releases are published; `None` if each waiter is told its turn on its client's inbox.
    fn releases(&self, _keys: &Keys) -> Option<String> {
        None
    }

    /// The renewal of exclusive holds without a lock-delay, all of one server: compare and expire.
    fn renew(&self, claims: &[&Claim], keys: &[Keys]) -> Request<'_, Vec<Renewal>> {
        let (script, call) = self.renewal(claims, keys);
        Request::call(script, call, read_renewals)
    }

    /// The renewal of one hold of any kind. `None` if [`Dialect::renew`] renews all that there are.
    fn renew_entry(&self, _claim: &Claim, _keys: &Keys, _: Announcement) -> Option<Request<'_, Renewal>> {
        None
    }

    fn inspect<'a>(&self, name: &'a LockName, keys: &Keys) -> Request<'a, Snapshot>;

    /// A forced release, and the holders whose holds were ended.
    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_, Vec<Contender>>;

    /// The request to announce every change of a lock on [`Keys::changes`], for a time. `None` if nothing is announced.
    fn observe(&self, _keys: &Keys, _span: Duration) -> Option<Request<'_, ()>> {
        None
    }

    /// The patterns of SCAN that match at least one key of each lock whose name begins with `prefix`.
    fn patterns(&self, prefix: &str) -> Vec<String>;

    /// The lock that a key found by [`Dialect::patterns`] belongs to.
    fn name_of(&self, key: &str) -> Option<LockName>;
}

/// For how many milliseconds each hold is held; -1 for one that is not.
fn read_renewals(value: &Value) -> Result<Vec<Renewal>> {
    let spans = read::<Vec<i64>>(value, "replies to renewals")?.into_iter().map(span);
    let renewal = |left: Option<Duration>| match left {
        Some(valid_for) => Renewal::Renewed { valid_for },
        None => Renewal::Gone(LostReason::Gone),
    };
    Ok(spans.map(renewal).collect())
}

/// The command by which scripts publish, and whether its reply counts all receivers.
#[derive(Clone, Copy)]
pub(crate) struct Announcement {
    pub(crate) command: &'static str,
    pub(crate) counts_receivers: bool,
}

impl Announcement {
    fn append_to(self, call: &mut Cmd, keys: &Keys) {
        call.arg(self.command).arg(u8::from(self.counts_receivers)).write_arg_fmt(keys.changes());
    }
}

/// The reply to a claim.
#[derive(Debug)]
pub(crate) enum ClaimReply {
    /// `is_unannounced`: the holder's release is not announced; only key tracking tells of it.
    Outcome { standing: Standing, is_unannounced: bool },
    /// The claim holds the lock already; a renewal completes it.
    OwnHold,
    /// The hold key is set and the lock is not granted by that: [`Dialect::claim`] decides.
    Undecided,
}
