//! [`Mutex`]: one holder at a time.

use std::{future::Future, time::Duration};

use leasehold_core::{Busy, Error, Lease, Mode, Result, Wait};

use super::{LockSpec, acquire_methods, lock_methods, with_methods};
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
acquire_methods!(Mutex, "the lock", acquire(), |_: &Self| Mode::Exclusive => MutexGuard {
    lock / blocking_lock,
    try_lock / blocking_try_lock,
    try_lock_or_busy / blocking_try_lock_or_busy,
    try_lock_for / blocking_try_lock_for,
});
with_methods!(Mutex, lock(), release, |guard| guard.lease().clone() => Lease {
    with, try_with, blocking_with
});

impl Mutex {
    pub(crate) fn new(spec: LockSpec) -> Self {
        Mutex { spec }
    }

    /// The same lock, for owners that lock it again while they hold it.
    pub fn reentrant(&self) -> ReentrantMutex {
        ReentrantMutex::new(self.spec.clone())
    }
}
