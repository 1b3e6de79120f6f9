//! [`Dialect`]: a format of locks on the server, one file for each.

pub(crate) mod foreign;
pub(crate) mod native;
pub(crate) mod plain;

use std::{fmt::Debug, sync::LazyLock, time::Duration};

use leasehold_core::{Claim, Contender, LockName, LostReason, Release, Renewal, Snapshot, Standing};
use redis::Cmd;

use crate::{
    format::{Request, Script, millis, read, span},
    keys::Keys,
};

static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/shared/renew.lua")));

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

    /// A release. For the time `refuse`, the claim's id is not granted again where the dialect can prevent it.
    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_, Release>;

    /// The renewal of exclusive holds without a lock-delay, all of one server: compare and expire.
    fn renew(&self, claims: &[&Claim], keys: &[Keys]) -> Request<'_, Vec<Renewal>> {
        let mut call = RENEW.call(keys.iter().map(|keys| keys.hold.as_str()));
        for claim in claims {
            call.arg(claim.id.to_string()).arg(millis(claim.ttl));
        }
        Request::call(&RENEW, call, |value| {
            let spans = read::<Vec<i64>>(value, "replies to renewals")?.into_iter().map(span);
            let renewal = |left: Option<Duration>| match left {
                Some(valid_for) => Renewal::Renewed { valid_for },
                None => Renewal::Gone(LostReason::Gone),
            };
            Ok(spans.map(renewal).collect())
        })
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

/// The command by which scripts publish, and whether its reply counts all receivers.
#[derive(Clone, Copy)]
pub(crate) struct Announcement {
    pub(crate) command: &'static str,
    pub(crate) counts_receivers: bool,
}

impl Announcement {
    fn append_to(self, call: &mut Cmd, keys: &Keys) {
        call.arg(self.command).arg(u8::from(self.counts_receivers)).arg(keys.changes());
    }
}

/// The reply to a claim.
#[derive(Debug)]
pub(crate) enum ClaimReply {
    /// `is_unannounced`: the holder's release is not announced; only key tracking tells of it.
    Outcome { standing: Standing, is_unannounced: bool },
    /// The claim holds the lock already; a renewal completes it.
    OwnHold,
}
