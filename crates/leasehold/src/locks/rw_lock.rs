//! [`RwLock`]: many readers or one writer.

use std::{future::Future, time::Duration};

use leasehold_core::{Busy, Error, Lease, Mode, Result, Wait};

use super::{LockSpec, blocking, lock_methods, with_methods};
use crate::{ReadGuard, WriteGuard};

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
    spec: LockSpec,
}

lock_methods!(RwLock);
with_methods!(RwLock, |_| Mode::Shared, with_read, try_with_read, blocking_with_read);
with_methods!(RwLock, |_| Mode::Exclusive, with_write, try_with_write, blocking_with_write);

impl RwLock {
    pub(crate) fn new(spec: LockSpec) -> Self {
        RwLock { spec }
    }

    /// Waits to read.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than `retry_timeout`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read(&self) -> Result<ReadGuard> {
        self.spec.acquire_forever(Mode::Shared).await.map(ReadGuard::new)
    }

    /// Reads if nobody writes or waits to.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_read(&self) -> Result<Option<ReadGuard>> {
        Ok(self.spec.acquire(Mode::Shared, Wait::No).await?.map(ReadGuard::new))
    }

    /// Reads if nobody writes or waits to; otherwise answers the writer, and when to try again.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_read_or_busy(&self) -> Result<Result<ReadGuard, Busy>> {
        Ok(self.spec.acquire_or_busy(Mode::Shared).await?.map(ReadGuard::new))
    }

    /// Waits to read for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_read_for(&self, wait: Duration) -> Result<Option<ReadGuard>> {
        Ok(self.spec.acquire(Mode::Shared, Wait::For(wait)).await?.map(ReadGuard::new))
    }

    /// Waits to write.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than `retry_timeout`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn write(&self) -> Result<WriteGuard> {
        self.spec.acquire_forever(Mode::Exclusive).await.map(WriteGuard::new)
    }

    /// Writes if nobody reads or writes.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_write(&self) -> Result<Option<WriteGuard>> {
        Ok(self.spec.acquire(Mode::Exclusive, Wait::No).await?.map(WriteGuard::new))
    }

    /// Writes if nobody reads or writes; otherwise answers one of the holders, and when to try again.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_write_or_busy(&self) -> Result<Result<WriteGuard, Busy>> {
        Ok(self.spec.acquire_or_busy(Mode::Exclusive).await?.map(WriteGuard::new))
    }

    /// Waits to write for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_write_for(&self, wait: Duration) -> Result<Option<WriteGuard>> {
        Ok(self.spec.acquire(Mode::Exclusive, Wait::For(wait)).await?.map(WriteGuard::new))
    }
}

blocking!(RwLock, self: [&self] {
    blocking_read = read() -> ReadGuard;
    blocking_try_read = try_read() -> Option<ReadGuard>;
    blocking_try_read_or_busy = try_read_or_busy() -> Result<ReadGuard, Busy>;
    blocking_try_read_for = try_read_for(wait: Duration) -> Option<ReadGuard>;
    blocking_write = write() -> WriteGuard;
    blocking_try_write = try_write() -> Option<WriteGuard>;
    blocking_try_write_or_busy = try_write_or_busy() -> Result<WriteGuard, Busy>;
    blocking_try_write_for = try_write_for(wait: Duration) -> Option<WriteGuard>;
});
