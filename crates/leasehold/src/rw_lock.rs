//! [`RwLock`]: many readers or one writer.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Busy, LockName, LockOptions, Mode, Result, Snapshot, Wait};

use crate::{ReadGuard, WriteGuard, client::LockSpec};

/// A readers-writer lock: a cheap description, `Clone`, no I/O. A reader never overtakes a writer that waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let catalogue = locks.rw_lock("catalogue")?;
/// let (one, two) = (catalogue.read().await?, catalogue.read().await?);
/// assert!(catalogue.try_write().await?.is_none());
/// drop(two);
/// one.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RwLock {
    description: LockSpec,
}

impl RwLock {
    pub(crate) fn new(description: LockSpec) -> Result<Self> {
        Ok(RwLock { description })
    }

    /// The same lock on other terms.
    ///
    /// # Errors
    /// As [`Mutex::with_terms`](crate::Mutex::with_terms).
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        RwLock::new(self.description.with_terms(change)?)
    }

    /// Calls `observer` each time the store answers that the lock is taken.
    #[must_use]
    pub fn on_busy(mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        self.description.observer = Some(Arc::new(observer));
        self
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// Waits to read.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read(&self) -> Result<ReadGuard> {
        self.description.acquire_forever(Mode::Shared).await.map(ReadGuard::new)
    }

    /// Reads if nobody writes or waits to.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_read(&self) -> Result<Option<ReadGuard>> {
        Ok(self.description.acquire(Mode::Shared, Wait::No).await?.map(ReadGuard::new))
    }

    /// Waits to read for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_read_for(&self, wait: Duration) -> Result<Option<ReadGuard>> {
        Ok(self.description.acquire(Mode::Shared, Wait::For(wait)).await?.map(ReadGuard::new))
    }

    /// Waits to write.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn write(&self) -> Result<WriteGuard> {
        self.description.acquire_forever(Mode::Exclusive).await.map(WriteGuard::new)
    }

    /// Writes if nobody reads or writes.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_write(&self) -> Result<Option<WriteGuard>> {
        Ok(self.description.acquire(Mode::Exclusive, Wait::No).await?.map(WriteGuard::new))
    }

    /// Waits to write for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_write_for(&self, wait: Duration) -> Result<Option<WriteGuard>> {
        Ok(self.description.acquire(Mode::Exclusive, Wait::For(wait)).await?.map(WriteGuard::new))
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
}
