//! [`Dialect`]: a format of locks on the server, one file for each.

pub(crate) mod foreign;
pub(crate) mod native;
pub(crate) mod plain;

use std::{fmt::Debug, time::Duration};

use leasehold_core::{Claim, Contender, LockName, LostReason, Release, Renewal, Result, Snapshot, Standing};
use redis::{Cmd, Value};

use crate::{
    format::{Reply, Request, Script, millis, unexpected},
    keys::Keys,
};

/// A format of locks: the request of each verb, and the meaning of its replies. No I/O.
pub(crate) trait Dialect: Debug + Send + Sync {
    fn keys(&self, name: &LockName) -> Keys;

    /// A claim. Its turn is announced on the channel `inbox`, unless that is empty.
    fn claim(&self, claim: &Claim, keys: &Keys, inbox: &str, announcement: Announcement) -> Request<'_>;

    /// `tracks` tells whether this client hears of changes by key tracking.
    fn read_claim(&self, claim: &Claim, replies: Vec<Reply>, tracks: bool) -> Result<ClaimReply>;

    /// A release. For the time `refuse`, the claim's id is not granted again where the dialect can prevent it.
    fn release(
        &self,
        claim: &Claim,
        keys: &Keys,
        refuse: Duration,
        announcement: Announcement,
    ) -> Request<'_>;

    fn read_release(&self, replies: Vec<Reply>) -> Result<Release>;

    /// The renewal of exclusive holds without a lock-delay, all of one server; read by [`read_renewal`].
    fn renew(&self, claims: &[&Claim], keys: &[Keys]) -> Request<'_>;

    /// The renewal of one hold of any kind. `None` if [`Dialect::renew`] renews all that there are.
    fn renew_entry(&self, claim: &Claim, keys: &Keys, announcement: Announcement) -> Option<Request<'_>>;

    fn read_renew_entry(&self, replies: Vec<Reply>) -> Result<Renewal>;

    fn inspect(&self, keys: &Keys) -> Request<'_>;

    fn read_snapshot(&self, name: &LockName, replies: Vec<Reply>) -> Result<Snapshot>;

    fn force_release(&self, keys: &Keys, announcement: Announcement) -> Request<'_>;

    /// The holders whose holds were ended.
    fn read_force_release(&self, replies: Vec<Reply>) -> Result<Vec<Contender>>;

    /// The channel on which every change of a lock is announced, and the request that turns this on for a time. `None`
    /// if nothing is announced.
    fn observe(&self, keys: &Keys, span: Duration) -> Option<(String, Request<'_>)>;

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
pub(crate) enum ClaimReply {
    /// `is_unannounced`: the holder's release is not announced; only key tracking tells of it.
    Outcome { standing: Standing, is_unannounced: bool },
    /// The claim holds the lock already; a renewal completes it.
    OwnHold,
}

/// The script of [`renew_strings`].
fn renew_script() -> Script {
    Script::new(include_str!("../scripts/shared/renew.lua"))
}

/// The renewal of holds that are a string: compare and expire.
fn renew_strings<'a>(script: &'a Script, claims: &[&Claim], keys: &[Keys]) -> Request<'a> {
    let mut call = script.call(keys.iter().map(|keys| keys.hold.as_str()));
    for claim in claims {
        call.arg(claim.id.to_string()).arg(millis(claim.ttl));
    }
    Request::call(script, call)
}

/// One element of the reply to [`Dialect::renew`].
pub(crate) fn read_renewal(value: Option<&Value>) -> Result<Renewal> {
    match value {
        Some(Value::Int(left)) => Ok(u64::try_from(*left).map_or(Renewal::Gone(LostReason::Gone), |left| {
            Renewal::Renewed { valid_for: Duration::from_millis(left) }
        })),
        other => Err(unexpected("a reply to a renewal", other.unwrap_or(&Value::Nil))),
    }
}
