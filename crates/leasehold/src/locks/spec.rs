//! [`LockSpec`]: the definition of a lock, and the ends of its use that all locks share.

use std::{
    fmt,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use leasehold_core::{
    Busy, Contender, Engine, Error, ErrorKind, Hold, LockName, LockOptions, Mode, Moment, Result, Snapshot,
    Wait,
    engine::{LockWatcher, Observer},
};

use super::owners::OwnerTable;

/// The definition of a lock: a name, a mode and options, on the engine of a client.
#[derive(Clone)]
pub(crate) struct LockSpec {
    pub(crate) engine: Engine,
    pub(crate) owners: OwnerTable,
    pub(crate) name: LockName,
    pub(crate) mode: Mode,
    pub(crate) options: LockOptions,
    pub(crate) observer: Option<Observer>,
}

impl LockSpec {
    /// Checks name, mode and options against the capability of the store.
    pub(crate) fn check(&self) -> Result<()> {
        self.engine.admits(&self.name, self.mode, &self.options)
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut LockOptions)) {
        change(&mut self.options);
    }

    pub(crate) fn observe(&mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) {
        self.observer = Some(Arc::new(observer));
    }

    /// Acquires the lock. The engine checks the options before the first request.
    pub(crate) async fn acquire(&self, mode: Mode, wait: Wait) -> Result<Option<Hold>> {
        self.engine.acquire(&self.name, mode, &self.options, wait, self.observer.as_ref()).await
    }

    /// Acquires the lock if it is free; otherwise answers who has it, and for how long.
    pub(crate) async fn acquire_or_busy(&self, mode: Mode) -> Result<Result<Hold, Busy>> {
        let seen = Arc::new(StdMutex::new(None));
        let (log, next) = (seen.clone(), self.observer.clone());
        let observer: Observer = Arc::new(move |busy: &Busy| {
            *log.lock().unwrap_or_else(PoisonError::into_inner) = Some(busy.clone());
            next.iter().for_each(|next| next(busy));
        });
        let spec = LockSpec { observer: Some(observer), ..self.clone() };
        if let Some(hold) = spec.acquire(mode, Wait::No).await? {
            return Ok(Ok(hold));
        }
        let busy = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Err(busy.unwrap_or(Busy { holder: None, ahead: None, recheck_in: self.options.ttl })))
    }

    pub(crate) fn watcher(&self) -> LockWatcher {
        LockWatcher::new(&self.engine, &self.name, self.options.retry_timeout)
    }

    pub(crate) async fn inspect(&self) -> Result<Snapshot> {
        self.engine.inspect(&self.name).await
    }

    pub(crate) async fn force_release(&self) -> Result<Vec<Contender>> {
        self.engine.force_release(&self.name).await
    }
}

impl fmt::Debug for LockSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockSpec")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("options", &self.options)
            .field("store", &self.engine.store().url())
            .finish()
    }
}

/// The result of a wait for ever.
pub(crate) fn granted<T>(answer: Option<T>) -> Result<T> {
    answer.ok_or_else(|| Error::new(ErrorKind::Closed, "waiting for ever has ended"))
}

/// Logs a failed release after work that is done, and was done under the lease.
pub(crate) fn released<T>(answer: Result<T>) {
    if let Err(error) = answer {
        tracing::warn!(%error, "the release is repeated in the background");
    }
}

/// The rest of a wait that began at `begin`.
pub(crate) fn shorter(wait: Wait, begin: Moment, now: Moment) -> Wait {
    match wait {
        Wait::For(span) => Wait::For(span.saturating_sub(now.since(begin))),
        Wait::No | Wait::Forever => wait,
    }
}
