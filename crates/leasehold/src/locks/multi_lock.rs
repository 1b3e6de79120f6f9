//! [`MultiLock`]: several locks at once, all or none.

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{
    Busy, Contender, Error, ErrorKind, Hold, Lease, LockName, LockOptions, Lost, Mode, Result, Snapshot,
    Wait, engine::Observer,
};

use super::{
    LockSpec, blocking, multi_guard::MultiGuard, option_methods, shorter, wait_methods, with_methods,
};

/// Several locks that are held together or not at all: a cheap spec, `Clone`, no I/O.
///
/// The names are sorted and taken one after the other in that order, so two users that name them in any order never
/// wait for each other. Each is also a [`Mutex`](crate::Mutex) of its own: who holds one of them by itself and then
/// locks several, in another order, can still deadlock with somebody who does the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let transfer = locks.multi_lock(["account/9", "account/4"])?;
/// let guard = transfer.lock().await?;
/// assert!(locks.mutex("account/4")?.try_lock().await?.is_none());
/// guard.run(async { /* move the money */ }).await?;
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct MultiLock {
    /// Sorted by name, each name once; at least one.
    specs: Vec<LockSpec>,
}

/// The outcome of one attempt to acquire them all.
enum Try {
    All(Vec<Hold>),
    Busy,
    LostOneMeanwhile(Lost),
}

impl MultiLock {
    /// The most names of one multi-lock.
    pub const NAMES_MAX: usize = 256;

    pub(crate) fn new(names: impl Iterator<Item = Result<LockSpec>>) -> Result<Self> {
        let mut specs = Vec::new();
        for spec in names {
            if specs.len() == Self::NAMES_MAX {
                let message = format!("a multi-lock may have at most {} names", Self::NAMES_MAX);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            specs.push(spec?);
        }
        if specs.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a multi-lock needs at least one name"));
        }
        specs.sort_by(|one, other| one.name.cmp(&other.name));
        specs.dedup_by(|one, other| one.name == other.name);
        Ok(MultiLock { specs })
    }

    fn change(mut self, change: impl FnOnce(&mut LockOptions)) -> Self {
        // They are the same for all names.
        let mut options = self.specs.first().map(|first| first.options.clone()).unwrap_or_default();
        change(&mut options);
        self.specs.iter_mut().for_each(|spec| spec.options = options.clone());
        self
    }

    /// Checks the options now instead of at the first use.
    ///
    /// # Errors
    /// As [`Mutex::build`](crate::Mutex::build).
    pub fn build(self) -> Result<Self> {
        self.specs.iter().try_for_each(LockSpec::check).map(|()| self)
    }

    /// Calls `observer` each time the store answers that one of them is taken.
    #[must_use]
    pub fn on_busy(mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        let observer: Observer = Arc::new(observer);
        self.specs.iter_mut().for_each(|spec| spec.observer = Some(observer.clone()));
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &LockName> {
        self.specs.iter().map(|one| &one.name)
    }

    /// Holders and waiters of each of them, in order of the names.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Vec<Snapshot>> {
        let mut snapshots = Vec::with_capacity(self.specs.len());
        for spec in &self.specs {
            snapshots.push(spec.inspect().await?);
        }
        Ok(snapshots)
    }

    /// Ends all holds of all of them and raises their fencing counters. Answers the evicted holders.
    ///
    /// # Errors
    /// Those of the store, after the ones before it are done.
    ///
    /// # Cancel safety
    /// Dropping the future leaves some of them done.
    pub async fn force_release(&self) -> Result<Vec<Contender>> {
        let mut evicted = Vec::new();
        for spec in &self.specs {
            evicted.extend(spec.force_release().await?);
        }
        Ok(evicted)
    }

    async fn acquire(&self, wait: Wait) -> Result<Option<MultiGuard>> {
        let Some(first) = self.specs.first() else { return Ok(None) };
        let env = first.engine.env().clone();
        let begin = env.now();
        loop {
            let wait = shorter(wait, begin, env.now());
            match self.take_all(wait).await? {
                Try::All(holds) => return Ok(Some(MultiGuard { holds })),
                Try::Busy => return Ok(None),
                // The wait for one took longer than another lived: all over again, if there is time.
                Try::LostOneMeanwhile(lost) if matches!(wait, Wait::No | Wait::For(Duration::ZERO)) => {
                    return Err(lost.into());
                }
                Try::LostOneMeanwhile(_) => {}
            }
        }
    }

    async fn take_all(&self, wait: Wait) -> Result<Try> {
        let mut guard = MultiGuard { holds: Vec::with_capacity(self.specs.len()) };
        let Some(first) = self.specs.first() else { return Ok(Try::Busy) };
        let env = first.engine.env();
        let begin = env.now();
        for spec in &self.specs {
            let next = spec.acquire(Mode::Exclusive, shorter(wait, begin, env.now()));
            let next = tokio::select! {
                biased;
                lost = guard.lost() => Ok(Try::LostOneMeanwhile(lost)),
                next = next => match next {
                    Ok(Some(hold)) => {
                        guard.holds.push(hold);
                        continue;
                    }
                    Ok(None) => Ok(Try::Busy),
                    Err(error) => Err(error),
                },
            };
            // Whatever this release leaves undone is the watchdog's.
            let _ = guard.release().await;
            return next;
        }
        match guard.check() {
            Ok(()) => Ok(Try::All(guard.holds)),
            Err(lost) => {
                let _ = guard.release().await;
                Ok(Try::LostOneMeanwhile(lost))
            }
        }
    }
}

option_methods!(MultiLock);
wait_methods!(MultiLock, "all of the locks", acquire() -> MultiGuard {
    lock / blocking_lock,
    try_lock / blocking_try_lock,
    try_lock_for / blocking_try_lock_for,
});
with_methods!(MultiLock, lock(), release, |guard| guard.leases().cloned().collect() => Vec<Lease> {
    with, try_with, blocking_with
});

blocking!(MultiLock, self: [&self] {
    blocking_inspect = inspect() -> Vec<Snapshot>;
    blocking_force_release = force_release() -> Vec<Contender>;
});
