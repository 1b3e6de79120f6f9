//! The engine above every store: acquire and wait, renew, detect the loss, clean up.
//!
//! An [`Engine`] is one client of one store. Locks are built on [`Engine::acquire`], which answers a [`Hold`].

mod acquire;
mod adopt;
mod attempt;
mod cleanup;
mod contention;
mod counter;
mod deadline;
mod health;
mod hold;
mod local_queue;
mod lock_options;
mod pending_release;
mod registry;
mod session;
mod telemetry;
mod throttle;
mod ticket;
mod wait;
mod watchdog;
mod watcher;

use std::{fmt, sync::Arc, time::Duration};

pub use health::SessionState;
pub use hold::Hold;
pub use lock_options::LockOptions;
pub use session::Session;
pub use ticket::Ticket;
pub use wait::{Observer, Wait};
pub use watcher::LockWatcher;

use crate::{
    BoxFuture, Claim, ClaimId, Contender, Env, Error, ErrorKind, Fencing, Interest, LockName, Mode, Queueing,
    Result, Snapshot, Store, Wake,
};
use local_queue::LocalQueue;
use registry::Registry;

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

    /// The environment of the client.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Checks name, mode and terms against the store's capability, without asking it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] and [`ErrorKind::Unsupported`].
    pub fn admits(&self, name: &LockName, mode: Mode, terms: &LockOptions) -> Result<()> {
        self.check(&self.template(name, mode, terms, Wait::Forever, ClaimId::from_bits(0)), terms)
    }

    fn check(&self, claim: &Claim, terms: &LockOptions) -> Result<()> {
        let capability = self.0.store.capability();
        if terms.require_fencing && capability.fencing != Fencing::Durable {
            let message = format!("{} has no fencing tokens that survive its restart", capability.scheme);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .lock(&claim.name)
                .hint("use a store with durable fencing, or make tokens optional"));
        }
        if let Some(max_hold) = terms.max_hold.filter(|max_hold| *max_hold < terms.ttl) {
            let message = format!("max_hold {max_hold:?} is shorter than the ttl {:?}", terms.ttl);
            let error = Error::new(ErrorKind::Invalid, message);
            return Err(error.lock(&claim.name).hint("lower the ttl as well"));
        }
        capability.admits(claim).map_err(|error| error.lock(&claim.name))
    }

    /// Asks the store for holders and waiters.
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

    /// Ends every hold of the lock, and raises the fencing counter above them.
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

    /// Ends the client: leases still held are lost and released, releases under way are awaited for at most
    /// `wait`, and
    /// the store is closed.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when releases were still under way; those of the store.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.0.registry.close();
        let moment = self.0.env.now() + wait;
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
            .elapsed(wait)
            .unknown());
        }
        closed
    }

    /// The health of this client as a value to watch. No I/O.
    pub fn session(&self) -> Session {
        Session::new(self.0.registry.clone(), self.0.env.clone())
    }

    /// The number of claims that this client holds, asks for or releases.
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

    /// Waits for the store's answer for at most `retry_timeout`: a store that hangs blocks nothing for ever.
    async fn ask<T>(&self, retry_timeout: Duration, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let answer = self.env.until(self.env.now() + retry_timeout, call).await;
        answer.unwrap_or_else(|| {
            let message = format!("the store did not answer within {retry_timeout:?}");
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
mod tests;
