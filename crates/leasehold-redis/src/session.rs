//! [`Session`]: what all verbs of one client share: servers, scripts, listeners, and requests in doubt.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, Error, ErrorKind, Moment, Outcome, Result, Revalidations};
use redis::{Cmd, Value, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::{
    connection::{Node, Reply},
    dialect::native::{self, Voice},
    keys::{Keys, inbox},
    listener::Listener,
    options::RedisOptions,
    reply::number,
    route::Router,
    script::{Script, Scripts},
};

/// More requests in doubt than these are not remembered: their ids are not refused when they come late.
const DOUBTS_MAX: usize = 1 << 16;
/// For how long replicas are waited for, at most.
const REPLICAS_TIMEOUT: Duration = Duration::from_secs(1);

/// What all verbs of one client share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) options: RedisOptions,
    pub(crate) env: Env,
    pub(crate) router: Router,
    pub(crate) scripts: Scripts,
    pub(crate) revalidations: Revalidations,
    client: u64,
    listeners: Mutex<Vec<Arc<Listener>>>,
    starting: AsyncMutex<()>,
    /// Claims of which a request may still arrive, and until when that matters.
    doubts: Mutex<HashMap<ClaimId, Moment>>,
    /// Claims that wait for a wake-up, and the key by which a stranger keeps each out, if one does.
    strangers: Mutex<HashMap<ClaimId, Option<String>>>,
    /// The server's own command to delete a key that has a certain value, once that is known; none before Redis 8.4 and
    /// Valkey 9.
    pub(crate) compare_and_delete: OnceLock<Option<&'static str>>,
    closed: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(crate) fn new(
        options: RedisOptions,
        router: Router,
        env: Env,
        revalidations: Revalidations,
    ) -> Session {
        Session {
            options,
            client: (env.random() >> 64) as u64,
            env,
            router,
            scripts: Scripts::new(),
            revalidations,
            listeners: Mutex::default(),
            starting: AsyncMutex::default(),
            doubts: Mutex::default(),
            strangers: Mutex::default(),
            compare_and_delete: OnceLock::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn refuse_closed(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this client is closed").store(&*self.options.url));
        }
        Ok(())
    }

    pub(crate) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.router.topology.close();
            locked(&self.listeners).clear();
        }
    }

    /// How news are sent out in these servers.
    pub(crate) fn voice(&self) -> Voice {
        let topology = &self.router.topology;
        let verb = if topology.has_sharded_channels() { "SPUBLISH" } else { "PUBLISH" };
        Voice { verb, exact: topology.counts_receivers() }
    }

    /// Runs a script of one lock and answers its reply.
    pub(crate) async fn run(&self, keys: &Keys, script: &Script, call: Cmd) -> Result<Value> {
        let (_, mut replies) = self.router.run(keys.slot(), script, call, None, self.options.timeout).await?;
        first(&mut replies)
    }

    /// The same; what it wrote must be confirmed by as many replicas as are wanted. Answers how many did.
    pub(crate) async fn run_confirmed(
        &self,
        keys: &Keys,
        script: &Script,
        call: Cmd,
        limit: Duration,
    ) -> Result<(Value, u32)> {
        let wanted = self.options.min_replicas;
        if wanted == 0 {
            let (_, mut replies) = self.router.run(keys.slot(), script, call, None, limit).await?;
            return Ok((first(&mut replies)?, 0));
        }
        let wait = wait_for(wanted, limit);
        let (_, mut replies) = self.router.run(keys.slot(), script, call, Some(wait), limit).await?;
        let value = first(&mut replies)?;
        Ok((value, acknowledged(&mut replies)?))
    }

    /// The failure of a grant or renewal that too few replicas have.
    pub(crate) fn too_few_replicas(&self, have: u32) -> Error {
        let message = format!("{have} of {} replicas confirmed it", self.options.min_replicas);
        Error::new(ErrorKind::NoQuorum, message)
            .hint("bring replicas back, or lower min_replicas and accept that a failover may lose the lock")
    }

    // Requests in doubt.

    /// Remembers that a request of this claim may still arrive.
    pub(crate) fn note_doubt<T>(&self, claim: &Claim, result: &Result<T>) {
        if !result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown) {
            return;
        }
        let now = self.env.now();
        let mut doubts = locked(&self.doubts);
        if doubts.len() >= DOUBTS_MAX {
            doubts.retain(|_, until| *until > now);
        }
        if doubts.len() < DOUBTS_MAX {
            doubts.insert(claim.id, now + claim.ttl * 2);
        }
    }

    /// For how long the claim's id has to be refused after its release: a late request must find it spent.
    pub(crate) fn doubt(&self, claim: &Claim) -> Duration {
        let mut doubts = locked(&self.doubts);
        match doubts.get(&claim.id) {
            Some(until) if *until > self.env.now() => claim.ttl * 2,
            Some(_) => {
                doubts.remove(&claim.id);
                Duration::ZERO
            }
            None => Duration::ZERO,
        }
    }

    /// The server has answered the release: nothing of the claim can come back.
    pub(crate) fn forget(&self, id: ClaimId) {
        locked(&self.doubts).remove(&id);
    }

    /// Remembers who keeps a claim out, if it is one that waits for a wake-up.
    pub(crate) fn note_stranger(&self, claim: &Claim, keys: &Keys, is_foreign: bool) {
        if let Some(key) = locked(&self.strangers).get_mut(&claim.id) {
            *key = is_foreign.then(|| keys.hold.clone());
        }
    }

    /// From now on, for a while, changes of a lock are announced.
    pub(crate) async fn observe(self: &Arc<Self>, keys: &Keys) -> Result<Observed> {
        let mut observed = Observed { session: self.clone(), keys: keys.clone(), since: self.env.now() };
        observed.renew().await?;
        Ok(observed)
    }

    /// From now on, until it is dropped, it is remembered by which key a stranger keeps this claim out.
    pub(crate) fn watch_strangers(self: &Arc<Self>, id: ClaimId) -> Strangers {
        locked(&self.strangers).insert(id, None);
        Strangers { session: self.clone(), id }
    }

    // Listeners.

    fn inbox_of(&self, slot: u16) -> String {
        inbox(self.client, self.router.topology.has_sharded_channels().then_some(slot))
    }

    /// Where waiters of this client are rung for; empty as long as nobody listens there.
    pub(crate) fn inbox(&self, slot: u16) -> String {
        let inbox = self.inbox_of(slot);
        let heard = locked(&self.listeners).iter().any(|listener| listener.hears(&inbox));
        if heard { inbox } else { String::new() }
    }

    /// Whether a waiter hears of the changes that strangers make.
    pub(crate) fn tracks(&self) -> bool {
        locked(&self.listeners).iter().any(|listener| !listener.is_broken() && listener.tracks())
    }

    /// The listener of a slot, subscribed to `channel`, or to the client's inbox.
    pub(crate) async fn listen(&self, slot: u16, channel: Option<String>) -> Result<Arc<Listener>> {
        let until = self.env.now() + self.options.timeout;
        let found = self.env.until(until, self.router.topology.route(slot)).await;
        let node = found
            .unwrap_or_else(|| Err(Error::new(ErrorKind::TimedOut, "no master was found to subscribe at")))?;
        let listener = self.listener(&node).await?;
        // Known only after the first connection to a Cluster.
        let sharded = self.router.topology.has_sharded_channels();
        let channel = channel.unwrap_or_else(|| self.inbox_of(slot));
        let joined = listener.join(&channel, sharded).await;
        joined.inspect_err(|_| self.router.topology.doubt(&node))?;
        Ok(listener)
    }

    async fn listener(&self, node: &Arc<Node>) -> Result<Arc<Listener>> {
        let current = || {
            let mut listeners = locked(&self.listeners);
            listeners.retain(|listener| !listener.is_broken());
            listeners.iter().find(|listener| Arc::ptr_eq(listener.node(), node)).cloned()
        };
        if let Some(listener) = current() {
            return Ok(listener);
        }
        let _turn = self.starting.lock().await;
        if let Some(listener) = current() {
            return Ok(listener);
        }
        let listener = Listener::start(node.clone(), self.env.clone()).await;
        let listener = listener.inspect_err(|_| self.router.topology.doubt(node))?;
        self.refuse_closed()?;
        locked(&self.listeners).push(listener.clone());
        Ok(listener)
    }
}

/// What is remembered of the stranger that keeps a claim out.
pub(crate) struct Strangers {
    session: Arc<Session>,
    id: ClaimId,
}

impl Strangers {
    /// The key by which it is kept out, if it is by a stranger.
    pub(crate) fn key(&self) -> Option<String> {
        locked(&self.session.strangers).get(&self.id).cloned().flatten()
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        locked(&self.session.strangers).remove(&self.id);
    }
}

/// For how long changes are announced.
const OBSERVED_FOR: Duration = Duration::from_secs(90);

/// A lock whose changes are announced.
pub(crate) struct Observed {
    session: Arc<Session>,
    keys: Keys,
    since: Moment,
}

impl Observed {
    async fn renew(&mut self) -> Result<()> {
        let session = &self.session;
        let sent = session.env.now();
        let script = &session.scripts.observe;
        session.run(&self.keys, script, native::observe(script, &self.keys, OBSERVED_FOR)).await?;
        self.since = sent;
        Ok(())
    }

    /// Waits for news, and sees to it that they go on being announced. After a long time in which nobody waited there
    /// may be some that were not.
    pub(crate) async fn wait(&mut self, news: &Notify) -> Result<()> {
        let env = self.session.env.clone();
        if env.now() > self.since + OBSERVED_FOR {
            return self.renew().await;
        }
        while env.until(self.since + OBSERVED_FOR / 3, news.notified()).await.is_none() {
            self.renew().await?;
        }
        Ok(())
    }
}

/// `WAIT`: it counts for what was written on the same connection before it.
pub(crate) fn wait_for(replicas: u32, limit: Duration) -> Cmd {
    let mut wait = cmd("WAIT");
    let patience = REPLICAS_TIMEOUT.min(limit / 2).max(Duration::from_millis(1));
    wait.arg(replicas).arg(u64::try_from(patience.as_millis()).unwrap_or(1));
    wait
}

pub(crate) fn acknowledged(replies: &mut Vec<Reply>) -> Result<u32> {
    let value = first(replies)?;
    Ok(u32::try_from(number(Some(&value))?).unwrap_or_default())
}

pub(crate) fn first(replies: &mut Vec<Reply>) -> Result<Value> {
    if replies.is_empty() {
        return Err(Error::new(ErrorKind::Corrupt, "the server answered nothing").unknown());
    }
    replies.remove(0).map_err(crate::refusal::Refusal::into_error)
}
