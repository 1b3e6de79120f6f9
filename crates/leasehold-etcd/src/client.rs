//! [`ClientState`]: what all verbs of one client share: members, leases, watches, and what it knows of its claims.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use leasehold_core::{
    BoxFuture, ClaimId, Env, Error, ErrorKind, Interest, LockName, Moment, Result, Revalidations, Wake,
};
use tokio::sync::MutexGuard;

use crate::{
    keys::Keys,
    leases::Leases,
    options::EtcdOptions,
    own_claims::OwnClaim,
    proto::{Compare, RequestOp, TxnRequest, TxnResponse},
    queue::{Entry, Queue},
    transport::connection::Procedure,
    transport::{Cluster, Refused, locked},
    txn::{self, get, range},
    waiters::WaitSubscription,
    watcher::LockWatcher,
};

const TXN: Procedure = "/etcdserverpb.KV/Txn";

/// How many claims are remembered before those that are over are looked for.
const SLOTS_MANY: usize = 1024;
/// More leases are not known to be alive; they are asked for again.
const ALIVE_MAX: usize = 4096;
/// How long a lease that is about to end is waited for: its last second, etcd's half, and what a revocation takes.
const DECISION: Duration = Duration::from_secs(3);
/// How often it is asked for meanwhile.
const LOOK: Duration = Duration::from_millis(25);
/// No verb takes longer than so many requests.
const VERBS: u32 = 8;
/// So many at a time.
const LEASES_ASKED: usize = 64;

/// What all verbs of one client share.
pub(crate) struct ClientState {
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) env: Env,
    pub(crate) members: Arc<Cluster>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) revalidations: Revalidations,
    slots: Mutex<HashMap<ClaimId, Arc<OwnClaim>>>,
    watchers: Mutex<HashMap<LockName, Weak<LockWatcher>>>,
    /// Leases of which it was asked, and until when they will live.
    alive: Mutex<HashMap<i64, Moment>>,
    closed: AtomicBool,
}

/// What a transaction did.
pub(crate) struct TxnResult {
    /// Whether its conditions were met.
    pub(crate) succeeded: bool,
    pub(crate) queue: Queue,
    /// The claim was thrown out by force.
    pub(crate) is_revoked: bool,
}

impl ClientState {
    pub(crate) fn new(options: EtcdOptions, env: Env) -> Result<ClientState> {
        let (options, revalidations) = (Arc::new(options), Revalidations::default());
        let members = Arc::new(Cluster::new(options.clone(), env.clone(), revalidations.clone())?);
        let leases = Arc::new(Leases::new(members.clone(), env.clone(), options.timeout));
        Ok(ClientState {
            options,
            env,
            members,
            leases,
            revalidations,
            slots: Mutex::default(),
            watchers: Mutex::default(),
            alive: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn refuse_closed(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this client is closed").store(&*self.options.url));
        }
        Ok(())
    }

    /// Closed from now on; whether it was open.
    pub(crate) fn shut(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Runs a verb to its end, whatever becomes of the caller: in the background from the moment at which it is dropped.
    pub(crate) fn carry<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Carried<T> {
        Carried { work: Some(Box::pin(work)), has_begun: false, env: self.env.clone() }
    }

    /// The right to do something for a claim, after whatever is under way for it.
    ///
    /// # Errors
    /// It takes too long: what is under way belongs to a runtime that stands still. Nothing was done.
    pub(crate) async fn turn<'a>(&self, slot: &'a OwnClaim) -> Result<MutexGuard<'a, ()>> {
        let until = self.env.now() + self.options.timeout * VERBS;
        let turn = self.env.until(until, slot.turn.lock()).await;
        turn.ok_or_else(|| {
            Error::new(ErrorKind::TimedOut, "another verb of this claim is still under way")
                .hint("is the runtime that it was called on blocked?")
        })
    }

    /// What is known of a claim, from now on.
    pub(crate) fn slot(&self, id: ClaimId) -> Arc<OwnClaim> {
        let mut slots = locked(&self.slots);
        if slots.len() >= SLOTS_MANY && slots.len().is_power_of_two() {
            let now = self.env.now();
            slots.retain(|_, slot| slot.turn.try_lock().is_err() || !locked(&slot.known).is_over(now));
        }
        slots.entry(id).or_default().clone()
    }

    /// What is known of a claim, if anything is.
    pub(crate) fn known(&self, id: ClaimId) -> Option<Arc<OwnClaim>> {
        locked(&self.slots).get(&id).cloned()
    }

    /// Nothing is left of a claim.
    pub(crate) fn forget(&self, id: ClaimId) {
        locked(&self.slots).remove(&id);
    }

    pub(crate) fn take_slots(&self) -> Vec<(ClaimId, Arc<OwnClaim>)> {
        locked(&self.slots).drain().collect()
    }

    /// A transaction whose branches end with [`ClientState::reads`].
    pub(crate) async fn transact(
        &self,
        keys: &Keys,
        compare: Vec<Compare>,
        success: Vec<RequestOp>,
        failure: Vec<RequestOp>,
    ) -> Result<TxnResult, Refused> {
        let answer = self.txn(TxnRequest { compare, success, failure }).await?;
        let revision = answer.header.unwrap_or_default().revision;
        let succeeded = answer.succeeded;
        let mut reads = txn::reads(answer);
        let revoked = reads.pop().unwrap_or_default();
        let fence = reads.pop().unwrap_or_default();
        let kvs = reads.pop().unwrap_or_default();
        let queue = Queue::read(keys, kvs, fence.first(), revision);
        Ok(TxnResult { succeeded, queue, is_revoked: !revoked.is_empty() })
    }

    /// The reads of the state of a lock, as a claim sees it.
    pub(crate) fn reads(keys: &Keys, id: ClaimId) -> [RequestOp; 3] {
        [range(keys.range()), get(keys.fence()), get(keys.revoked(id))]
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Refused> {
        self.members.call(TXN, request).await
    }

    /// Subscribes to a lock.
    pub(crate) async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.refuse_closed()?;
        let watcher = self.watcher(name);
        let notifier = watcher.waiters.hang(interest);
        watcher.begun().await?;
        self.refuse_closed()?;
        Ok(Box::new(WaitSubscription { notifier, _watcher: watcher }))
    }

    fn watcher(&self, name: &LockName) -> Arc<LockWatcher> {
        let mut watchers = locked(&self.watchers);
        if let Some(watcher) =
            watchers.get(name).and_then(Weak::upgrade).filter(|watcher| !watcher.has_failed())
        {
            return watcher;
        }
        watchers.retain(|_, watcher| watcher.strong_count() > 0);
        let watcher = LockWatcher::start(self.members.clone(), &self.env, self.options.timeout, name);
        watchers.insert(name.clone(), Arc::downgrade(&watcher));
        watcher
    }

    /// Those who listen hear that it is over.
    pub(crate) fn break_watches(&self) {
        let watchers = std::mem::take(&mut *locked(&self.watchers));
        for watcher in watchers.into_values().filter_map(|watcher| watcher.upgrade()) {
            watcher.waiters.break_all();
        }
    }

    /// Waits until etcd has decided about leases that may be over, by the calendar's hint; whether to read again.
    ///
    /// etcd readings for leases to revoke twice a second, and says of a lease only how many whole seconds are left. So in its
    /// last second nobody can tell, and whoever wants to know waits for the end, or for a renewal, of which no event tells.
    pub(crate) async fn decided(&self, entries: impl Iterator<Item = &Entry>) -> Result<bool> {
        let (now, wall_us) = (self.env.now(), self.env.wall_us());
        let mut due: Vec<i64> = {
            let alive = locked(&self.alive);
            let is_alive = |lease: &i64| alive.get(lease).is_some_and(|until| *until > now);
            entries
                .filter(|it| it.may_be_due(wall_us))
                .map(|it| it.lease)
                .filter(|it| !is_alive(it))
                .collect()
        };
        due.sort_unstable();
        due.dedup();
        let end = now + DECISION;
        let mut changed = false;
        loop {
            let mut open = Vec::new();
            for some in due.chunks(LEASES_ASKED) {
                let asked = some.iter().map(|lease| self.leases.left(*lease));
                for (lease, left) in some.iter().zip(futures_util::future::join_all(asked).await) {
                    match left? {
                        ..=-1 => changed = true,
                        0 => open.push(*lease),
                        left => self.is_alive(*lease, u64::try_from(left).unwrap_or_default()),
                    }
                }
            }
            if open.is_empty() || self.env.now() >= end {
                return Ok(changed);
            }
            due = open;
            self.env.sleep(LOOK).await;
        }
    }

    fn is_alive(&self, lease: i64, seconds: u64) {
        let mut alive = locked(&self.alive);
        if alive.len() >= ALIVE_MAX {
            alive.clear();
        }
        alive.insert(lease, self.env.now() + Duration::from_secs(seconds));
    }

    /// How long a lease that was asked for will live, at least.
    pub(crate) fn lives(&self, lease: i64) -> Option<Duration> {
        let now = self.env.now();
        locked(&self.alive).get(&lease).map(|until| until.since(now)).filter(|left| !left.is_zero())
    }
}

/// A verb that is carried to its end once it has begun.
pub(crate) struct Carried<T: Send + 'static> {
    work: Option<BoxFuture<'static, T>>,
    has_begun: bool,
    env: Env,
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.has_begun = true;
        let Some(work) = &mut self.work else { return Poll::Pending };
        let output = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take().filter(|_| self.has_begun) {
            self.env.spawn(async move {
                // Who asked has gone.
                let _ = work.await;
            });
        }
    }
}

impl std::fmt::Debug for ClientState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClientState").field(&self.options.url).finish()
    }
}
