//! [`Client`]: the state that all verbs of one store share.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
};

use leasehold_core::{
    ClaimId, Env, Error, ErrorKind, Interest, LockName, Result, Revalidations, Wake,
    store_kit::{ClientState, Locked},
};
use tokio::sync::MutexGuard;

use crate::{
    keys::Keys,
    leases::Leases,
    options::EtcdOptions,
    own_claims::{OwnClaim, OwnClaims},
    protocol::{
        Compare, DeleteRangeRequest, DeleteRangeResponse, KeyValue, RequestOp, TxnRequest, TxnResponse,
    },
    queue::{Entry, Queue},
    reserved::ReservedKeys,
    transport::{Cluster, connection::Procedure},
    txn::{self, get, range},
    watcher::LockWatcher,
};

const TXN: Procedure = "/etcdserverpb.KV/Txn";
const DELETE: Procedure = "/etcdserverpb.KV/DeleteRange";

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
    pub(crate) keys: ReservedKeys,
    watchers: Locked<HashMap<LockName, Weak<LockWatcher>>>,
}

/// The outcome of a transaction on the keys of one lock.
pub(crate) struct TxnResult {
    /// Whether its comparisons held.
    pub(crate) succeeded: bool,
    pub(crate) queue: Queue,
    /// The claim was released by force.
    pub(crate) is_revoked: bool,
}

impl TxnResult {
    /// The state of a lock as [`Client::reading`] has read it.
    pub(crate) fn read(keys: &Keys, answer: TxnResponse) -> TxnResult {
        let (succeeded, revision) = (answer.succeeded, answer.header.revision);
        let mut reads = txn::reads(answer).into_iter();
        let mut next = || reads.next().unwrap_or_default();
        let (kvs, fence, revoked) = (next(), next(), next());
        let queue = Queue::read(keys, kvs, fence.first(), revision);
        TxnResult { succeeded, queue, is_revoked: !revoked.is_empty() }
    }

    /// The same of a transaction that put the first keys of a lock, and has read its fence key.
    pub(crate) fn first(keys: &Keys, mut kvs: Vec<KeyValue>, answer: TxnResponse) -> TxnResult {
        let revision = answer.header.revision;
        for kv in &mut kvs {
            (kv.create_revision, kv.mod_revision) = (revision, revision);
        }
        let fence = txn::reads(answer).into_iter().flatten().next();
        TxnResult {
            succeeded: true,
            queue: Queue::read(keys, kvs, fence.as_ref(), revision),
            is_revoked: false,
        }
    }
}

impl Client {
    pub(crate) fn new(options: EtcdOptions, env: Env) -> Result<Client> {
        options.check()?;
        let (options, revalidations) = (Arc::new(options), Revalidations::default());
        let cluster = Arc::new(Cluster::new(options.clone(), env.clone(), revalidations.clone()));
        Ok(Client {
            state: ClientState::new(options.capability(), &options.url, revalidations),
            options,
            keys: ReservedKeys::default(),
            env,
            leases: Arc::new(Leases::new(cluster.clone())),
            cluster,
            own_claims: OwnClaims::default(),
            watchers: Locked::default(),
        })
    }

    /// Waits for the other verbs of this claim, and excludes them until the guard is dropped; fails when one takes too long.
    pub(crate) async fn exclude_verbs<'a>(&self, own: &'a OwnClaim) -> Result<MutexGuard<'a, ()>> {
        let until = self.env.now() + self.options.timeout * VERB_REQUESTS;
        self.env.until(until, own.verbs.lock()).await.ok_or_else(|| {
            Error::new(ErrorKind::TimedOut, "another verb of this claim is still under way")
                .hint("is the runtime that it was called on blocked?")
        })
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        self.cluster.call(TXN, request).await
    }

    /// The same; `None` when a lease that it names does not exist, and nothing was done.
    pub(crate) async fn txn_on_lease(&self, request: TxnRequest) -> Result<Option<TxnResponse>> {
        self.cluster.call_on_lease(TXN, request).await
    }

    /// Deletes a key; whether it was there.
    pub(crate) async fn delete(&self, key: Vec<u8>) -> Result<bool> {
        let answer: DeleteRangeResponse = self.cluster.call(DELETE, DeleteRangeRequest { key }).await?;
        Ok(answer.deleted > 0)
    }

    /// A transaction of a claim that reads the state of its lock in either case.
    pub(crate) fn reading(
        keys: &Keys,
        id: ClaimId,
        compare: Vec<Compare>,
        mut success: Vec<RequestOp>,
    ) -> TxnRequest {
        let failure = vec![range(keys.range()), get(keys.fence()), get(keys.revoked(id))];
        success.extend(failure.clone());
        TxnRequest { compare, success, failure }
    }

    /// Sends [`Client::reading`]; `None` when a lease that it names does not exist, and nothing was done.
    pub(crate) async fn transact(
        &self,
        keys: &Keys,
        id: ClaimId,
        compare: Vec<Compare>,
        success: Vec<RequestOp>,
    ) -> Result<Option<TxnResult>> {
        let answer = self.txn_on_lease(Client::reading(keys, id, compare, success)).await?;
        Ok(answer.map(|answer| TxnResult::read(keys, answer)))
    }

    /// Subscribes to a lock.
    pub(crate) async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let watcher = self.watcher(name);
        let subscription = watcher.waiters.subscribe(interest);
        watcher.start(&self.cluster, name).await?;
        self.state.check_open()?;
        Ok(Box::new(subscription.keeping(watcher)))
    }

    fn watcher(&self, name: &LockName) -> Arc<LockWatcher> {
        let mut watchers = self.watchers.lock();
        watchers.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
            watchers.retain(|_, watcher| watcher.strong_count() > 0);
            let watcher = Arc::<LockWatcher>::default();
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

    /// Waits until etcd has either revoked or kept those leases that may be over according to the wall-clock hint; whether
    /// any was revoked.
    pub(crate) async fn await_expiry(&self, entries: impl Iterator<Item = &Entry>) -> Result<bool> {
        let wall_us = self.env.wall_us();
        let due = entries.filter(|it| it.may_be_due(wall_us)).map(|it| it.lease);
        let due: BTreeSet<i64> = due.filter(|lease| self.leases.lives_for(*lease).is_none()).collect();
        self.leases.await_expiry(due.into_iter().collect()).await
    }
}
