//! [`RwLock`]: many readers or one writer.

use std::{future::Future, time::Duration};

use leasehold_core::{Busy, Error, Lease, Mode, Result, Wait};

use super::{LockSpec, acquire_methods, lock_methods, with_methods};
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
acquire_methods!(RwLock, "the lock to read", acquire_shared(), |_: &Self| Mode::Shared => ReadGuard {
    read / blocking_read,
    try_read / blocking_try_read,
    try_read_or_busy / blocking_try_read_or_busy,
    try_read_for / blocking_try_read_for,
});
acquire_methods!(RwLock, "the lock to write", acquire_exclusive(), |_: &Self| Mode::Exclusive => WriteGuard {
    write / blocking_write,
    try_write / blocking_try_write,
    try_write_or_busy / blocking_try_write_or_busy,
    try_write_for / blocking_try_write_for,
});
with_methods!(RwLock, read(), release, |guard| guard.lease().clone() => Lease {
    with_read, try_with_read, blocking_with_read
});
with_methods!(RwLock, write(), release, |guard| guard.lease().clone() => Lease {
    with_write, try_with_write, blocking_with_write
});

impl RwLock {
    pub(crate) fn new(spec: LockSpec) -> Self {
        RwLock { spec }
    }
}
