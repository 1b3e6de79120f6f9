//! [`Client`]: the state that all verbs of one store share.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{
    ClaimId, Env, Error, ErrorKind, Interest, LockName, Moment, Result, Revalidations, Wake,
    store_kit::{ClientState, Locked},
};
use tokio::sync::MutexGuard;

use crate::{
    error::CallError,
    keys::Keys,
    leases::Leases,
    options::EtcdOptions,
    own_claims::{OwnClaim, OwnClaims},
    proto::{Compare, RequestOp, TxnRequest, TxnResponse},
    queue::{Entry, Queue},
    transport::{Cluster, connection::Procedure},
    txn::{self, get, range},
    watcher::LockWatcher,
};

const TXN: Procedure = "/etcdserverpb.KV/Txn";

/// Leases known to be alive; when there are more, the table is emptied and they are looked up again.
const ALIVE_MAX: usize = 4096;
/// How long [`Client::await_expiry`] waits: a lease's last second, etcd's half-second tick, and the revocation.
const EXPIRY_LIMIT: Duration = Duration::from_secs(3);
/// The time between two lookups meanwhile.
const EXPIRY_POLL: Duration = Duration::from_millis(25);
/// Leases that are looked up at the same time.
const LOOKUPS_MAX: usize = 64;
/// The longest verb, in requests.
const VERB_REQUESTS: u32 = 8;

/// The state that all verbs of one store share.
pub(crate) struct Client {
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) env: Env,
    pub(crate) state: ClientState,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) own_claims: OwnClaims,
    pub(crate) revalidations: Revalidations,
    watchers: Locked<HashMap<LockName, Weak<LockWatcher>>>,
    /// Leases that were looked up, and until when they live.
    alive: Locked<HashMap<i64, Moment>>,
}

/// The outcome of a transaction on the keys of one lock.
pub(crate) struct TxnResult {
    /// Whether its comparisons held.
    pub(crate) succeeded: bool,
    pub(crate) queue: Queue,
    /// The claim was released by force.
    pub(crate) is_revoked: bool,
}

impl Client {
    pub(crate) fn new(options: EtcdOptions, env: Env) -> Result<Client> {
        let (options, revalidations) = (Arc::new(options), Revalidations::default());
        let cluster = Arc::new(Cluster::new(options.clone(), env.clone(), revalidations.clone())?);
        let leases = Arc::new(Leases::new(cluster.clone(), env.clone(), options.timeout));
        Ok(Client {
            options,
            env,
            state: ClientState::default(),
            cluster,
            leases,
            own_claims: OwnClaims::default(),
            revalidations,
            watchers: Locked::default(),
            alive: Locked::default(),
        })
    }

    /// See [`OwnClaim::exclude_verbs`].
    pub(crate) async fn exclude_verbs<'a>(&self, own: &'a OwnClaim) -> Result<MutexGuard<'a, ()>> {
        own.exclude_verbs(&self.env, self.options.timeout * VERB_REQUESTS).await
    }

    /// A transaction whose branches end with [`Client::reads`].
    pub(crate) async fn transact(
        &self,
        keys: &Keys,
        compare: Vec<Compare>,
        success: Vec<RequestOp>,
        failure: Vec<RequestOp>,
    ) -> Result<TxnResult, CallError> {
        let answer = self.txn(TxnRequest { compare, success, failure }).await?;
        let (succeeded, revision) = (answer.succeeded, answer.header.unwrap_or_default().revision);
        let mut reads = txn::reads(answer).into_iter();
        let mut next = || reads.next().unwrap_or_default();
        let (kvs, fence, revoked) = (next(), next(), next());
        let queue = Queue::read(keys, kvs, fence.first(), revision);
        Ok(TxnResult { succeeded, queue, is_revoked: !revoked.is_empty() })
    }

    /// The reads of the state of a lock, as a claim needs them.
    pub(crate) fn reads(keys: &Keys, id: ClaimId) -> [RequestOp; 3] {
        [range(keys.range()), get(keys.fence()), get(keys.revoked(id))]
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, CallError> {
        self.cluster.call(TXN, request).await
    }

    /// Subscribes to a lock.
    pub(crate) async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let watcher = self.watcher(name);
        let subscription = watcher.waiters.subscribe(interest);
        watcher.started().await?;
        self.state.check_open()?;
        Ok(Box::new(subscription.keeping(watcher)))
    }

    fn watcher(&self, name: &LockName) -> Arc<LockWatcher> {
        let mut watchers = self.watchers.lock();
        let live = watchers.get(name).and_then(Weak::upgrade).filter(|watcher| !watcher.has_failed());
        live.unwrap_or_else(|| {
            watchers.retain(|_, watcher| watcher.strong_count() > 0);
            let watcher = LockWatcher::start(self.cluster.clone(), &self.env, self.options.timeout, name);
            watchers.insert(name.clone(), Arc::downgrade(&watcher));
            watcher
        })
    }

    /// Breaks all subscriptions.
    pub(crate) fn break_watches(&self) {
        let watchers = std::mem::take(&mut *self.watchers.lock());
        let error = Error::new(ErrorKind::Unreachable, "the subscription broke")
            .hint("ask the store again, and subscribe anew");
        watchers.values().filter_map(Weak::upgrade).for_each(|watcher| watcher.waiters.break_all(&error));
    }

    /// Waits until etcd has either revoked or kept leases that may be over according to the wall-clock hint; whether any
    /// was revoked.
    ///
    /// etcd looks for expired leases twice a second, and answers the time that is left in whole seconds. So the state of
    /// a lease is unknown in its last second, and no event announces a renewal: the lease has to be looked up until it
    /// is gone or has more than a second left.
    pub(crate) async fn await_expiry(&self, entries: impl Iterator<Item = &Entry>) -> Result<bool> {
        let mut due = self.due(entries);
        let end = self.env.now() + EXPIRY_LIMIT;
        let mut is_revoked = false;
        loop {
            let mut undecided = Vec::new();
            for some in due.chunks(LOOKUPS_MAX) {
                let lookups = some.iter().map(|lease| self.leases.left(*lease));
                for (lease, left) in some.iter().zip(futures_util::future::join_all(lookups).await) {
                    match left? {
                        ..=-1 => is_revoked = true,
                        0 => undecided.push(*lease),
                        left => self.set_alive(*lease, u64::try_from(left).unwrap_or_default()),
                    }
                }
            }
            if undecided.is_empty() || self.env.now() >= end {
                return Ok(is_revoked);
            }
            due = undecided;
            self.env.sleep(EXPIRY_POLL).await;
        }
    }

    /// The leases that may be over, each once.
    fn due<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Vec<i64> {
        let wall_us = self.env.wall_us();
        let due = entries.filter(|it| it.may_be_due(wall_us)).map(|it| it.lease);
        let mut due: Vec<i64> = due.filter(|lease| self.lives_for(*lease).is_none()).collect();
        due.sort_unstable();
        due.dedup();
        due
    }

    fn set_alive(&self, lease: i64, seconds: u64) {
        let mut alive = self.alive.lock();
        if alive.len() >= ALIVE_MAX {
            alive.clear();
        }
        alive.insert(lease, self.env.now() + Duration::from_secs(seconds));
    }

    /// How long a lease lives at least, if it was looked up and is not over.
    pub(crate) fn lives_for(&self, lease: i64) -> Option<Duration> {
        let now = self.env.now();
        self.alive.lock().get(&lease).map(|until| until.since(now)).filter(|left| !left.is_zero())
    }
}
