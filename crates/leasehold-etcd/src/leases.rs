//! [`Leases`]: what a client's keys live by. Every claim has a lease of its own.
//!
//! A lease that a claim is done with is kept for the next one of the same time to live, so that an uncontended claim need
//! not wait for a grant. It is renewed beside the claim, and counted from there.

mod keep_alive;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use tokio::sync::Semaphore;

use crate::{
    proto::{
        LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse,
        LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    },
    transport::connection::Procedure,
    transport::{Cluster, Refused, locked},
};
use keep_alive::KeepAliveStream;

const GRANT: Procedure = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: Procedure = "/etcdserverpb.Lease/LeaseRevoke";
const TIME_TO_LIVE: Procedure = "/etcdserverpb.Lease/LeaseTimeToLive";

/// More spare leases of one time to live are not kept.
const SPARES_MAX: usize = 16;
/// Nor leases of more different times to live.
const KINDS_MAX: usize = 64;
/// A spare one that ends this soon is not worth renewing.
const TOO_OLD: Duration = Duration::from_millis(500);
/// So many are revoked at a time.
const REVOKED_AT_ONCE: usize = 64;

/// A lease of this client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    /// What was asked for, in seconds.
    pub(crate) seconds: u64,
    /// What was granted: no less.
    pub(crate) lives: u64,
    /// It is there until then at least.
    pub(crate) until: Moment,
}

impl Lease {
    /// How long ago it was granted or renewed.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        Duration::from_secs(self.lives).saturating_sub(self.until.since(now))
    }
}

/// All leases of a client.
pub(crate) struct Leases {
    members: Arc<Cluster>,
    env: Env,
    timeout: Duration,
    spares: Mutex<HashMap<u64, Spares>>,
    /// One for each connection.
    keepers: Mutex<Vec<Arc<KeepAliveStream>>>,
    revoking: Semaphore,
}

/// The spare leases of one time to live.
#[derive(Default)]
struct Spares {
    leases: Vec<Lease>,
    /// Asked for more than once: one is granted ahead.
    in_use: bool,
    granting: bool,
}

impl Leases {
    pub(crate) fn new(members: Arc<Cluster>, env: Env, timeout: Duration) -> Leases {
        let revoking = Semaphore::new(REVOKED_AT_ONCE);
        Leases { members, env, timeout, spares: Mutex::default(), keepers: Mutex::default(), revoking }
    }

    /// A new lease.
    pub(crate) async fn grant(&self, seconds: u64) -> Result<Lease> {
        let sent = self.env.now();
        let request = LeaseGrantRequest { ttl: i64::try_from(seconds).unwrap_or(i64::MAX), id: 0 };
        let answer: LeaseGrantResponse = self.members.call(GRANT, request).await?;
        let lives = u64::try_from(answer.ttl).unwrap_or_default();
        if answer.id == 0 || lives < seconds {
            let message = format!("a lease of {seconds} s was answered with one of {} s", answer.ttl);
            return Err(Error::new(ErrorKind::Corrupt, message).hint("see the member's log"));
        }
        Ok(Lease { id: answer.id, seconds, lives, until: sent + Duration::from_secs(lives) })
    }

    /// A lease that is there already, if one is. It has to be renewed.
    pub(crate) fn spare(&self, seconds: u64) -> Option<Lease> {
        let mut spares = locked(&self.spares);
        if spares.len() >= KINDS_MAX && !spares.contains_key(&seconds) {
            spares.retain(|_, spares| !spares.leases.is_empty());
        }
        let spares = spares.entry(seconds).or_default();
        let oldest = self.env.now() + TOO_OLD;
        spares.leases.retain(|lease| lease.until > oldest);
        spares.leases.pop()
    }

    /// Keeps a lease that no key lives by any more. Too many are revoked.
    pub(crate) fn give_back(self: &Arc<Self>, lease: Lease) {
        let mut spares = locked(&self.spares);
        let kinds = spares.len();
        let ours = spares.entry(lease.seconds).or_default();
        if ours.leases.len() < SPARES_MAX && kinds < KINDS_MAX {
            ours.leases.push(lease);
            return;
        }
        drop(spares);
        self.discard(lease.id);
    }

    /// Sees to it that the next claim need not wait for a grant, once there was more than one.
    pub(crate) fn grant_ahead(self: &Arc<Self>, seconds: u64) {
        let mut spares = locked(&self.spares);
        let ours = spares.entry(seconds).or_default();
        let was_in_use = std::mem::replace(&mut ours.in_use, true);
        if !was_in_use || ours.granting || !ours.leases.is_empty() {
            return;
        }
        ours.granting = true;
        drop(spares);
        let leases = self.clone();
        self.env.spawn(async move {
            let granted = leases.grant(seconds).await;
            let mut spares = locked(&leases.spares);
            let ours = spares.entry(seconds).or_default();
            ours.granting = false;
            // Else the next claim asks for itself, and hears why.
            ours.leases.extend(granted);
        });
    }

    /// Revokes it in the background; if that fails, it ends by itself.
    pub(crate) fn discard(self: &Arc<Self>, id: i64) {
        let leases = self.clone();
        self.env.spawn(async move {
            let _ = leases.revoke(id).await;
        });
    }

    /// Ends a lease, and every key that lives by it. What arrives later and names it is refused.
    pub(crate) async fn revoke(&self, id: i64) -> Result<()> {
        // Never closed.
        let _turn = self.revoking.acquire().await;
        let revoked = self.members.call::<_, LeaseRevokeResponse>(REVOKE, LeaseRevokeRequest { id }).await;
        match revoked {
            Ok(_) | Err(Refused::NoLease) => Ok(()),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// How many whole seconds it will live, rounded towards zero; below zero when it is gone.
    pub(crate) async fn left(&self, id: i64) -> Result<i64> {
        let request = LeaseTimeToLiveRequest { id };
        let answer = self.members.call::<_, LeaseTimeToLiveResponse>(TIME_TO_LIVE, request).await;
        match answer {
            Ok(answer) => Ok(answer.ttl),
            Err(Refused::NoLease) => Ok(-1),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// Renews a lease; `None` when it is gone. One that may be over is asked for on a stream of its own: etcd answers
    /// for it only when it is revoked, and lets everything behind it wait.
    pub(crate) async fn keep(&self, lease: Lease) -> Result<Option<Lease>> {
        let sent = self.env.now();
        let until = sent + self.timeout;
        let connection = self.members.connection(until).await?;
        let token = self.members.login(&connection, until).await?;
        let asked = if sent < lease.until {
            let keeper = self.keeper(&connection, token);
            let answer = keeper.ask(lease.id);
            self.env.until(until, answer).await
        } else {
            let alone =
                Arc::new(KeepAliveStream::start(&self.env, self.members.clone(), connection.clone(), token));
            let answer = alone.ask(lease.id);
            self.env.until(until, answer).await
        };
        let lives = match asked {
            Some(answer) => answer?,
            None => {
                if connection.silent_since(sent.nanos()) {
                    self.members.forget(&connection);
                }
                let message = format!("a renewal was not answered within {:?}", self.timeout);
                return Err(Error::new(ErrorKind::TimedOut, message)
                    .hint("is the cluster overloaded, paused, or cut off from its majority?")
                    .unknown());
            }
        };
        connection.hear(&self.env);
        Ok(lives.map(|lives| Lease { lives, until: sent + Duration::from_secs(lives), ..lease }))
    }

    fn keeper(
        &self,
        connection: &Arc<crate::transport::connection::Connection>,
        token: crate::transport::connection::Token,
    ) -> Arc<KeepAliveStream> {
        let mut keepers = locked(&self.keepers);
        keepers.retain(|keeper| !keeper.has_ended());
        if let Some(keeper) = keepers.iter().find(|keeper| keeper.is_on(connection)) {
            return keeper.clone();
        }
        let new =
            Arc::new(KeepAliveStream::start(&self.env, self.members.clone(), connection.clone(), token));
        keepers.push(new.clone());
        new
    }

    /// All spare leases, which are taken out.
    pub(crate) fn take_spares(&self) -> Vec<Lease> {
        locked(&self.spares).drain().flat_map(|(_, spares)| spares.leases).collect()
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leases")
    }
}
