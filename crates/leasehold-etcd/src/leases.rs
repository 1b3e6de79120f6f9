//! [`Leases`]: the etcd leases of a client. Every claim has one of its own.
//!
//! A lease that a claim no longer needs is kept as a spare for the next claim of the same time to live, so that an
//! uncontended claim does not wait for a grant. A spare is renewed beside the claim, and its validity counts from there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Env, Error, ErrorKind, Moment, Result, store_kit::Locked};
use tokio::sync::Semaphore;

use crate::{
    protocol::{LeaseRequest, LeaseResponse},
    transport::{Cluster, connection::Procedure},
};

const GRANT: Procedure = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: Procedure = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: Procedure = "/etcdserverpb.Lease/LeaseKeepAlive";
const TIME_TO_LIVE: Procedure = "/etcdserverpb.Lease/LeaseTimeToLive";

/// Spare leases of one time to live.
const SPARES_MAX: usize = 16;
/// Different times to live with spare leases.
const POOLS_MAX: usize = 64;
/// A spare that ends this soon is not used.
const SPARE_LEFT_MIN: Duration = Duration::from_millis(500);
/// Revocations and lookups at the same time.
const REQUESTS_MAX: usize = 64;
/// Leases known to be alive; when there are more, the table is emptied and they are looked up again.
const ALIVE_MAX: usize = 4096;
/// How long [`Leases::await_expiry`] waits: a lease's last second, etcd's half-second tick, and the revocation.
const EXPIRY_LIMIT: Duration = Duration::from_secs(3);
/// The time between two lookups meanwhile.
const EXPIRY_POLL: Duration = Duration::from_millis(25);

/// A lease of this client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    /// The time to live that was requested, in seconds.
    seconds: u64,
    /// The time to live that was granted, in seconds: no less.
    pub(crate) lives: u64,
    /// It exists at least until then.
    pub(crate) until: Moment,
}

impl Lease {
    /// A lease that was found under a key: it may be over.
    pub(crate) fn found(id: i64, seconds: u64, now: Moment) -> Lease {
        Lease { id, seconds, lives: seconds, until: now }
    }

    /// The time since it was granted or renewed.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        Duration::from_secs(self.lives).saturating_sub(self.until.since(now))
    }
}

/// The leases of one claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClaimLeases {
    /// The lease of its place in the queue.
    pub(crate) place: Lease,
    /// The lease of its lock-delay, if it has one.
    pub(crate) delay: Option<Lease>,
}

impl ClaimLeases {
    pub(crate) fn all(&self) -> impl Iterator<Item = Lease> + use<> {
        std::iter::once(self.place).chain(self.delay)
    }
}

/// All leases of a client.
pub(crate) struct Leases {
    cluster: Arc<Cluster>,
    env: Env,
    /// The spare leases, by time to live in seconds.
    spares: Locked<HashMap<u64, SparePool>>,
    requests: Semaphore,
    /// Leases that were looked up, and until when they live.
    alive: Locked<HashMap<i64, Moment>>,
}

/// The spare leases of one time to live.
#[derive(Default)]
struct SparePool {
    leases: Vec<Lease>,
    /// It was requested more than once: one is granted in advance.
    in_use: bool,
    is_granting: bool,
}

impl Leases {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Leases {
        let (env, requests) = (cluster.env.clone(), Semaphore::new(REQUESTS_MAX));
        Leases { cluster, env, spares: Locked::default(), requests, alive: Locked::default() }
    }

    /// A new lease.
    pub(crate) async fn grant(&self, seconds: u64) -> Result<Lease> {
        let sent = self.env.now();
        let request = LeaseRequest { id: i64::try_from(seconds).unwrap_or(i64::MAX) };
        let answer: LeaseResponse = self.cluster.call(GRANT, request).await?;
        let lives = u64::try_from(answer.ttl).unwrap_or_default();
        if answer.id == 0 || lives < seconds {
            let message = format!("a lease of {seconds} s was requested and one of {} s granted", answer.ttl);
            return Err(Error::new(ErrorKind::Corrupt, message).hint("see the member's log"));
        }
        Ok(Lease { id: answer.id, seconds, lives, until: sent + Duration::from_secs(lives) })
    }

    /// A spare lease, if there is one. The caller has to renew it.
    pub(crate) fn spare(&self, seconds: u64) -> Option<Lease> {
        let mut spares = self.spares.lock();
        if spares.len() >= POOLS_MAX && !spares.contains_key(&seconds) {
            spares.retain(|_, pool| !pool.leases.is_empty());
        }
        let pool = spares.entry(seconds).or_default();
        let earliest = self.env.now() + SPARE_LEFT_MIN;
        pool.leases.retain(|lease| lease.until > earliest);
        pool.leases.pop()
    }

    /// Takes back the leases of a claim without keys: the place's is kept as a spare, the delay's is revoked.
    pub(crate) fn give_back(self: &Arc<Self>, leases: ClaimLeases) {
        if let Some(delay) = leases.delay {
            self.discard(delay.id);
        }
        let mut spares = self.spares.lock();
        let pools = spares.len();
        let pool = spares.entry(leases.place.seconds).or_default();
        if pool.leases.len() < SPARES_MAX && pools < POOLS_MAX {
            pool.leases.push(leases.place);
            return;
        }
        drop(spares);
        self.discard(leases.place.id);
    }

    /// Grants a spare in the background for the next claim, from the second claim of this time to live on.
    pub(crate) fn grant_ahead(self: &Arc<Self>, seconds: u64) {
        let mut spares = self.spares.lock();
        let pool = spares.entry(seconds).or_default();
        let was_in_use = std::mem::replace(&mut pool.in_use, true);
        if !was_in_use || pool.is_granting || !pool.leases.is_empty() {
            return;
        }
        pool.is_granting = true;
        drop(spares);
        let leases = self.clone();
        self.env.spawn(async move {
            let granted = leases.grant(seconds).await;
            let mut spares = leases.spares.lock();
            let pool = spares.entry(seconds).or_default();
            pool.is_granting = false;
            // After a failure the next claim asks for its own lease, and gets the error.
            pool.leases.extend(granted);
        });
    }

    /// Revokes a lease in the background. After a failure it ends by itself.
    pub(crate) fn discard(self: &Arc<Self>, id: i64) {
        let leases = self.clone();
        self.env.spawn(async move {
            let _ = leases.revoke(id).await;
        });
    }

    /// Revokes a lease and deletes every key that lives by it. A later request that names it is refused.
    pub(crate) async fn revoke(&self, id: i64) -> Result<()> {
        self.ask(REVOKE, id).await.map(drop)
    }

    /// Renews the leases of a claim; `None` when that of the place is gone. That of the delay comes second: where the
    /// place is gone its delay runs, and must not be prolonged.
    pub(crate) async fn keep_both(&self, leases: ClaimLeases) -> Result<Option<ClaimLeases>> {
        let Some(place) = self.keep(leases.place).await? else { return Ok(None) };
        let delay = match leases.delay {
            Some(delay) => self.keep(delay).await?,
            None => None,
        };
        Ok(Some(ClaimLeases { place, delay }))
    }

    /// Renews a lease; `None` when it is gone. Each renewal is a stream of one request: etcd does not answer for a lease
    /// that is over until it is revoked, and every later request on the same stream would wait.
    pub(crate) async fn keep(&self, lease: Lease) -> Result<Option<Lease>> {
        let sent = self.env.now();
        let request = LeaseRequest { id: lease.id };
        let answer = self.cluster.call_on_lease::<_, LeaseResponse>(KEEP_ALIVE, request).await?;
        let lives = answer.and_then(|it| u64::try_from(it.ttl).ok()).filter(|lives| *lives > 0);
        Ok(lives.map(|lives| Lease { lives, until: sent + Duration::from_secs(lives), ..lease }))
    }

    async fn ask(&self, procedure: Procedure, id: i64) -> Result<Option<LeaseResponse>> {
        // The semaphore is never closed.
        let _permit = self.requests.acquire().await;
        self.cluster.call_on_lease(procedure, LeaseRequest { id }).await
    }

    /// Waits until etcd has either revoked or kept these leases; whether any was revoked.
    ///
    /// etcd looks for expired leases twice a second, and answers the time that is left in whole seconds. So the state of
    /// a lease is unknown in its last second, and no event announces a renewal: the lease has to be looked up until it
    /// is gone or has more than a second left.
    pub(crate) async fn await_expiry(&self, mut due: Vec<i64>) -> Result<bool> {
        let end = self.env.now() + EXPIRY_LIMIT;
        let mut is_revoked = false;
        loop {
            let lookups = join_all(due.iter().map(|lease| self.ask(TIME_TO_LIVE, *lease))).await;
            let mut undecided = Vec::new();
            for (lease, answer) in due.into_iter().zip(lookups) {
                // The time left, rounded towards zero; negative when it is gone.
                match answer?.map_or(-1, |answer| answer.ttl) {
                    ..=-1 => is_revoked = true,
                    0 => undecided.push(lease),
                    left => self.set_alive(lease, Duration::from_secs(left.unsigned_abs())),
                }
            }
            if undecided.is_empty() || self.env.now() >= end {
                return Ok(is_revoked);
            }
            due = undecided;
            self.env.sleep(EXPIRY_POLL).await;
        }
    }

    fn set_alive(&self, lease: i64, left: Duration) {
        let mut alive = self.alive.lock();
        if alive.len() >= ALIVE_MAX {
            alive.clear();
        }
        alive.insert(lease, self.env.now() + left);
    }

    /// How long a lease lives at least, if it was looked up and is not over.
    pub(crate) fn lives_for(&self, lease: i64) -> Option<Duration> {
        let now = self.env.now();
        self.alive.lock().get(&lease).map(|until| until.since(now)).filter(|left| !left.is_zero())
    }

    /// Removes and returns all spare leases.
    pub(crate) fn take_spares(&self) -> Vec<Lease> {
        self.spares.lock().drain().flat_map(|(_, pool)| pool.leases).collect()
    }
}
