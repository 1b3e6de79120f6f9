//! [`Mutex`]: one holder at a time.

use std::{future::Future, time::Duration};

use leasehold_core::{Busy, Error, Lease, Mode, Result, Wait};

use super::{LockSpec, blocking, lock_methods, with_methods};
use crate::{MutexGuard, ReentrantMutex};

/// A mutual exclusion lock: a cheap description, `Clone`, no I/O.
///
/// It is not reentrant: a task that locks it twice waits for itself. See [`ReentrantMutex`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let mutex = locks.mutex("report")?;
/// let guard = mutex.lock().await?;
/// let Err(busy) = mutex.try_lock_or_busy().await? else { unreachable!("it is taken") };
/// assert!(busy.retry_after() <= std::time::Duration::from_secs(30));
/// guard.release().await?;
/// let has_token = mutex.with(|lease| async move { lease.fencing_token().is_some() }).await?;
/// # assert!(has_token); Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mutex {
    spec: LockSpec,
}

lock_methods!(Mutex);
with_methods!(Mutex, |_| Mode::Exclusive, with, try_with, blocking_with);

impl Mutex {
    pub(crate) fn new(spec: LockSpec) -> Self {
        Mutex { spec }
    }

    /// The same lock, for owners that lock it again while they hold it.
    pub fn reentrant(&self) -> ReentrantMutex {
        ReentrantMutex::new(self.spec.clone())
    }

    /// Waits for the lock for as long as it takes.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than `retry_timeout`.
    ///
    /// # Cancel safety
    /// Cancel safe: no hold and no place in the queue remains of a dropped future.
    pub async fn lock(&self) -> Result<MutexGuard> {
        self.spec.acquire_forever(Mode::Exclusive).await.map(MutexGuard::new)
    }

    /// Acquires the lock if it is free: one round trip.
    ///
    /// # Errors
    /// Those of the store. Contention is no error but `None`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock(&self) -> Result<Option<MutexGuard>> {
        Ok(self.spec.acquire(Mode::Exclusive, Wait::No).await?.map(MutexGuard::new))
    }

    /// Acquires the lock if it is free; otherwise answers the holder, and when to try again.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_or_busy(&self) -> Result<Result<MutexGuard, Busy>> {
        Ok(self.spec.acquire_or_busy(Mode::Exclusive).await?.map(MutexGuard::new))
    }

    /// Waits for the lock for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_for(&self, wait: Duration) -> Result<Option<MutexGuard>> {
        Ok(self.spec.acquire(Mode::Exclusive, Wait::For(wait)).await?.map(MutexGuard::new))
    }
}

blocking!(Mutex, self: [&self] {
    blocking_lock = lock() -> MutexGuard;
    blocking_try_lock = try_lock() -> Option<MutexGuard>;
    blocking_try_lock_or_busy = try_lock_or_busy() -> Result<MutexGuard, Busy>;
    blocking_try_lock_for = try_lock_for(wait: Duration) -> Option<MutexGuard>;
});
