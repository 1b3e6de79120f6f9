//! [`Mutex`]: one holder at a time.

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{Busy, Contender, Lease, LockName, LockOptions, Mode, Result, Snapshot, Wait};

use crate::{MutexGuard, client::LockSpec};

/// A mutual exclusion lock: a cheap description, `Clone`, no I/O.
///
/// It is not reentrant: a task that locks it twice waits for itself. See [`ReentrantMutex`](crate::ReentrantMutex).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let mutex = locks.mutex("report")?;
/// let guard = mutex.lock().await?;
/// assert!(mutex.try_lock().await?.is_none());
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mutex {
    pub(crate) description: LockSpec,
}

impl Mutex {
    pub(crate) fn new(description: LockSpec) -> Result<Self> {
        Ok(Mutex { description })
    }

    /// The same lock on other terms.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) and [`ErrorKind::Unsupported`](crate::ErrorKind) for terms that the
    /// store cannot keep.
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        Mutex::new(self.description.with_terms(change)?)
    }

    /// Calls `observer` each time the store answers that the lock is taken: who has it, for how long, and our place.
    #[must_use]
    pub fn on_busy(mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        self.description.observer = Some(Arc::new(observer));
        self
    }

    /// The same lock, for owners that lock it again while they hold it.
    pub fn reentrant(&self) -> crate::ReentrantMutex {
        crate::ReentrantMutex::new(self.description.clone())
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// Waits for the lock for as long as it takes.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience.
    ///
    /// # Cancel safety
    /// Cancel safe: no hold and no place in the queue remains of a dropped future.
    pub async fn lock(&self) -> Result<MutexGuard> {
        self.description.acquire_forever(Mode::Exclusive).await.map(MutexGuard::new)
    }

    /// Takes the lock if it is free: one round trip.
    ///
    /// # Errors
    /// Those of the store. That somebody else has it is no error but `None`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock(&self) -> Result<Option<MutexGuard>> {
        Ok(self.description.acquire(Mode::Exclusive, Wait::No).await?.map(MutexGuard::new))
    }

    /// Waits for the lock for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_for(&self, wait: Duration) -> Result<Option<MutexGuard>> {
        Ok(self.description.acquire(Mode::Exclusive, Wait::For(wait)).await?.map(MutexGuard::new))
    }

    /// Locks, runs `work` under the lease and releases. `work` is dropped when the lease is lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    /// let locks = leasehold::Client::connect("memory:").await?;
    /// let sum = locks.mutex("ledger")?.with(|lease| async move { lease.fencing_token().is_some() }).await?;
    /// assert!(sum);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind) when the lease was lost before `work` was done; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work` and releases the lock.
    pub async fn with<T, F: Future<Output = T>>(&self, work: impl FnOnce(Lease) -> F) -> Result<T> {
        let guard = self.lock().await?;
        let output = guard.run(work(guard.lease().clone())).await?;
        // The work is done and was done under the lease: a release that fails is repeated in the background.
        if let Err(error) = guard.release().await {
            tracing::warn!(lock = %self.name(), %error, "the release is repeated in the background");
        }
        Ok(output)
    }

    /// Who holds it and who waits.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Snapshot> {
        self.description.inspect().await
    }

    /// Throws out whoever holds it, and raises the fencing counter.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn force_release(&self) -> Result<Vec<Contender>> {
        self.description.client.engine().force_release(self.name()).await
    }
}
