//! What every store has in common: asking and waiting, renewing, noticing the loss, cleaning up.
//!
//! An [`Engine`] is one client of one store. Locks are built on [`Engine::acquire`], which answers a [`Hold`].

mod acquire;
mod attempt;
mod cleanup;
mod contention;
mod deadline;
mod health;
mod hold;
mod local_queue;
mod registry;
mod telemetry;
mod throttle;
mod watchdog;
mod watcher;

use std::{fmt, sync::Arc, time::Duration};

pub use acquire::{Observer, Wait};
pub use health::{Session, SessionState};
pub use hold::{Hold, Ticket};
pub use watcher::LockWatcher;

use crate::{
    Binding, BoxFuture, Claim, ClaimId, Contender, Env, Error, ErrorKind, Fencing, Interest, LockName, Mode,
    Queueing, Result, Snapshot, Store, Wake,
};
use local_queue::LocalQueue;
use registry::Registry;

/// Whether a lock is of use without fencing tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Require {
    /// Tokens are welcome and may be missing.
    #[default]
    Optional,
    /// Every grant must carry a token that survives the store's restart; a store without is refused at once.
    Durable,
}

/// On what terms a lock is held.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LockOptions {
    /// How long the store keeps the hold without news of us.
    pub ttl: Duration,
    /// Whether the watchdog renews the hold until it is given up.
    pub renew: bool,
    /// How long the watchdog renews at most: bounds a holder that hangs.
    pub hold_max: Option<Duration>,
    /// Whether to queue in order and be overtaken by nobody.
    pub fair: bool,
    /// How long the lock stays shut after an end without release.
    pub lock_delay: Duration,
    /// What the hold lives by besides its ttl.
    pub binding: Binding,
    /// Whether fencing tokens are required.
    pub fencing: Require,
    /// For how long a store that cannot be reached is asked again before the error is returned.
    pub patience: Duration,
    /// For people: shown to those who wait and by `inspect`.
    pub note: Option<Arc<str>>,
}

impl Default for LockOptions {
    /// 30 s, renewed until given up, barging, five seconds of patience.
    fn default() -> Self {
        LockOptions {
            ttl: Duration::from_secs(30),
            renew: true,
            hold_max: None,
            fair: false,
            lock_delay: Duration::ZERO,
            binding: Binding::Client,
            fencing: Require::Optional,
            patience: Duration::from_secs(5),
            note: None,
        }
    }
}

impl LockOptions {
    /// Sets how long the store keeps the hold without news of us.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Leaves the hold to end at its first deadline.
    #[must_use]
    pub fn without_renewal(mut self) -> Self {
        self.renew = false;
        self
    }

    /// Bounds how long the watchdog renews.
    #[must_use]
    pub fn hold_max(mut self, hold_max: Duration) -> Self {
        self.hold_max = Some(hold_max);
        self
    }

    /// Queues in order, overtaken by nobody.
    #[must_use]
    pub fn fair(mut self) -> Self {
        self.fair = true;
        self
    }

    /// Keeps the lock shut for a while after an end without release.
    #[must_use]
    pub fn lock_delay(mut self, lock_delay: Duration) -> Self {
        self.lock_delay = lock_delay;
        self
    }

    /// Lets the hold outlive its client.
    #[must_use]
    pub fn outlives_client(mut self) -> Self {
        self.binding = Binding::Ttl;
        self
    }

    /// Refuses a store whose tokens do not survive its restart.
    #[must_use]
    pub fn require_fencing(mut self) -> Self {
        self.fencing = Require::Durable;
        self
    }

    /// Sets for how long a failing store is asked again.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Says who and why.
    #[must_use]
    pub fn note(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// One client of one store. Clones are the same client.
#[derive(Clone)]
pub struct Engine(Arc<Core>);

pub(crate) struct Core {
    store: Arc<dyn Store>,
    env: Env,
    registry: Arc<Registry>,
    local: LocalQueue,
}

impl Engine {
    /// Starts a client of `store`, with one watchdog task in `env`.
    pub fn new(store: Arc<dyn Store>, env: Env) -> Self {
        let registry = Arc::new(Registry::default());
        watchdog::start(store.clone(), env.clone(), registry.clone());
        Engine(Arc::new(Core { store, env, registry, local: LocalQueue::default() }))
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The world it lives in.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Checks name, mode and terms against the store's capability, without asking it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] and [`ErrorKind::Unsupported`].
    pub fn admits(&self, name: &LockName, mode: Mode, terms: &LockOptions) -> Result<()> {
        let capability = self.0.store.capability();
        if terms.fencing == Require::Durable && capability.fencing != Fencing::Durable {
            let message = format!("{} has no fencing tokens that survive its restart", capability.scheme);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .lock(name)
                .hint("use a store with durable fencing, or make tokens optional"));
        }
        if terms.hold_max.is_some_and(|hold_max| hold_max < terms.ttl) {
            let message = format!(
                "hold_max {:?} is shorter than the ttl {:?}",
                terms.hold_max.unwrap_or_default(),
                terms.ttl
            );
            return Err(Error::new(ErrorKind::Invalid, message).lock(name).hint("lower the ttl as well"));
        }
        let claim = self.template(name, mode, terms, Wait::Forever, ClaimId::from_bits(0));
        capability.admits(&claim).map_err(|error| error.lock(name))
    }

    /// Asks the store who holds and who waits.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.0.store.inspect(name).await.map_err(|error| self.0.explain(error, "inspect", name))
    }

    /// Asks the store for the locks in use whose names begin with `prefix`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.0.store.list(prefix, limit).await.map_err(|error| error.verb("list").store(self.0.store.url()))
    }

    /// Throws out whoever holds the lock, and raises the fencing counter above them.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let evicted = self.0.store.force_release(name).await;
        let evicted = evicted.map_err(|error| self.0.explain(error, "force-release", name))?;
        tracing::warn!(lock = %name, store = self.0.store.url(), evicted = evicted.len(), "released by force");
        Ok(evicted)
    }

    /// Subscribes to all changes of a lock.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changes(&self, name: &LockName) -> Result<Box<dyn Wake>> {
        self.0
            .store
            .watch(name, Interest::Changes)
            .await
            .map_err(|error| self.0.explain(error, "watch", name))
    }

    /// Ends the client: leases still held are lost and released, releases under way are awaited for `patience`, and
    /// the store is closed.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when releases were still under way; those of the store.
    pub async fn close(&self, patience: Duration) -> Result<()> {
        self.0.registry.close();
        let moment = self.0.env.now() + patience;
        let flushed = self.0.env.until(moment, self.0.registry.flushed()).await.is_some();
        let closed =
            self.0.store.close().await.map_err(|error| error.verb("close").store(self.0.store.url()));
        if !flushed {
            return Err(Error::new(
                ErrorKind::TimedOut,
                "releases were still under way; their locks end by their ttl",
            )
            .verb("close")
            .store(self.0.store.url())
            .elapsed(patience)
            .unknown());
        }
        closed
    }

    /// How this client stands with its store, as a value to watch. No I/O.
    pub fn session(&self) -> Session {
        Session::new(self.0.registry.clone(), self.0.env.clone())
    }

    /// How many claims this client holds, asks for or gives up at this moment.
    pub fn claims_alive(&self) -> usize {
        self.0.registry.claims_alive()
    }

    fn template(&self, name: &LockName, mode: Mode, terms: &LockOptions, wait: Wait, id: ClaimId) -> Claim {
        let queueing = match wait {
            Wait::No => Queueing::No,
            _ if terms.fair => Queueing::Fifo,
            _ => Queueing::Barging,
        };
        Claim {
            mode,
            queueing,
            binding: terms.binding,
            lock_delay: terms.lock_delay,
            note: terms.note.clone(),
            ..Claim::new(name.clone(), id, terms.ttl)
        }
    }
}

impl Core {
    fn explain(&self, error: Error, verb: &'static str, name: &LockName) -> Error {
        error.verb(verb).lock(name).store(self.store.url())
    }

    /// Asks the store, for at most `patience`: nothing waits for ever on a store that hangs.
    async fn ask<T>(&self, patience: Duration, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let answer = self.env.until(self.env.now() + patience, call).await;
        answer.unwrap_or_else(|| {
            let message = format!("the store did not answer within {patience:?}");
            Err(Error::new(ErrorKind::TimedOut, message)
                .unknown()
                .hint("is the store overloaded, or paused?"))
        })
    }

    fn request(&self, claim: &Claim) -> BoxFuture<'static, Result<crate::Standing>> {
        let (store, claim) = (self.store.clone(), claim.clone());
        Box::pin(async move { store.claim(&claim).await })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.registry.finish();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("store", &self.0.store.url()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
