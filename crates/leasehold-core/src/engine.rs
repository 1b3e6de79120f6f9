//! The engine above every store: acquire and wait, renew, detect the loss, clean up.
//!
//! An [`Engine`] is one client of one store. Locks are built on [`Engine::acquire`], which answers a [`Hold`].

mod acquire;
mod adopt;
mod attempt;
mod cleanup;
mod contention;
mod core;
mod fairness;
mod health;
mod hold;
mod last_answer;
mod local_queue;
mod lock_options;
mod patience;
mod registry;
mod session;
mod telemetry;
mod throttle;
mod ticket;
mod watchdog;
mod watcher;

use std::{fmt, sync::Arc, time::Duration};

pub use acquire::{Observer, Wait};
pub use health::SessionState;
pub use hold::Hold;
pub use lock_options::LockOptions;
pub use session::Session;
pub use ticket::Ticket;
pub use watcher::LockWatcher;

use self::core::{Core, Handle};
use crate::{
    Claim, ClaimId, Contender, Env, Error, ErrorKind, Fencing, Interest, LockName, Mode, Queueing, Result,
    Snapshot, Store, Wake, env::show, store_kit::Explain,
};

/// One client of one store. Clones are the same client.
#[derive(Clone)]
pub struct Engine(Arc<Handle>);

impl Engine {
    /// Starts a client of `store`, with one watchdog task in `env`.
    pub fn new(store: Arc<dyn Store>, env: Env) -> Self {
        let core = Core::new(store, env);
        core.env.spawn(watchdog::run(core.clone()));
        Engine(Arc::new(Handle(core)))
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The environment of the client.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Sets the label `lock.group` of the metrics by a rule. The values must be few: each makes a series of its own. Only the
    /// first rule counts.
    pub fn group_by(&self, rule: impl Fn(&LockName) -> String + Send + Sync + 'static) {
        let _ = self.0.groups.set(Box::new(rule));
    }

    /// Checks name, mode and options against the store's capability, without asking it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] and [`ErrorKind::Unsupported`].
    pub fn admits(&self, name: &LockName, mode: Mode, options: &LockOptions) -> Result<()> {
        self.claim(name, mode, options, Wait::Forever, ClaimId::from_bits(0)).map(drop)
    }

    /// Asks the store for holders and waiters.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.0.explain(self.0.request(self.0.store.inspect(name)).await, "inspect", name)
    }

    /// Asks the store for the locks in use whose names begin with `prefix`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.0.request(self.0.store.list(prefix, limit)).await.explain_store("list", self.0.store.url())
    }

    /// Ends every hold of the lock, and raises the fencing counter above them.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let evicted = self.0.request(self.0.store.force_release(name)).await;
        let evicted = self.0.explain(evicted, "force-release", name)?;
        tracing::warn!(lock = %name, store = self.0.store.url(), evicted = evicted.len(), "released by force");
        Ok(evicted)
    }

    /// Subscribes to all changes of a lock.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changes(&self, name: &LockName) -> Result<Box<dyn Wake>> {
        let changes = self.0.request(self.0.store.watch(name, Interest::Changes)).await;
        self.0.explain(changes, "watch", name)
    }

    /// Ends the client: leases still held are lost and released, releases under way are awaited for at most
    /// `wait`, and the store is closed.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when releases were still under way; those of the store.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.0.env.check_process()?;
        self.0.registry.close();
        let moment = self.0.env.now() + wait;
        let flushed = self.0.env.until(moment, self.0.registry.flushed()).await.is_some();
        let closed = self.0.store.close().await;
        let answer = if flushed { closed } else { Err(late_releases(wait)) };
        answer.explain_store("close", self.0.store.url())
    }

    /// The health of this client as a value to watch. No I/O.
    pub fn session(&self) -> Session {
        Session::new(self.0.registry.clone(), self.0.env.clone())
    }

    /// The number of claims that this client holds, asks for or releases.
    pub fn claims_alive(&self) -> usize {
        self.0.registry.claims_alive()
    }

    /// The claim of an acquisition, checked against the options and the store's capability.
    fn claim(
        &self,
        name: &LockName,
        mode: Mode,
        options: &LockOptions,
        wait: Wait,
        id: ClaimId,
    ) -> Result<Claim> {
        let queueing = match wait {
            Wait::No => Queueing::No,
            _ if options.fair => Queueing::Fifo,
            _ => Queueing::Barging,
        };
        let claim = Claim {
            mode,
            queueing,
            binding: options.binding,
            lock_delay: options.lock_delay,
            note: options.note.clone(),
            ..Claim::new(name.clone(), id, options.ttl)
        };
        self.check(&claim, options).map_err(|error| error.lock(name))?;
        Ok(claim)
    }

    fn check(&self, claim: &Claim, options: &LockOptions) -> Result<()> {
        self.0.env.check_process()?;
        let capability = self.0.store.capability();
        if options.require_fencing && capability.fencing != Fencing::Durable {
            let message = format!("{} has no fencing tokens that survive its restart", capability.scheme);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .hint("use a store with durable fencing, or make tokens optional"));
        }
        if let Some(max_hold) = options.max_hold.filter(|max_hold| *max_hold < options.ttl) {
            let message =
                format!("max_hold {} is shorter than the ttl {}", show(max_hold), show(options.ttl));
            return Err(Error::new(ErrorKind::Invalid, message).hint("lower the ttl as well"));
        }
        capability.admits(claim)
    }
}

fn late_releases(waited: Duration) -> Error {
    let message = "releases were still under way; their locks end by their ttl";
    Error::new(ErrorKind::TimedOut, message).elapsed(waited).unknown()
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("store", &self.0.store.url()).finish()
    }
}

#[cfg(test)]
mod tests;
