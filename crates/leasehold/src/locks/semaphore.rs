//! [`Semaphore`]: up to a number of holders at a time.

use std::{future::Future, time::Duration};

use leasehold_core::{Busy, Error, Lease, Mode, Result, Stance, Wait};

use super::{LockSpec, acquire_methods, blocking, lock_methods, with_methods};
use crate::Permit;

/// A semaphore: a cheap description, `Clone`, no I/O.
///
/// The number of permits is stored with the holders: to state another number is an error that names both. A semaphore
/// without holders takes the number of the next one. Without the option `fair`, requests for few permits may overtake those
/// for many.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let importers = locks.semaphore("importers", 3)?;
/// let two = importers.acquire_many(2).await?;
/// assert_eq!(importers.available_permits().await?, 1);
/// assert!(importers.try_acquire_many(2).await?.is_none());
/// two.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    spec: LockSpec,
    permits: u32,
}

lock_methods!(Semaphore);
acquire_methods!(Semaphore, "one permit", acquire_one(), |it: &Self| it.mode(1) => Permit {
    acquire / blocking_acquire,
    try_acquire / blocking_try_acquire,
    try_acquire_or_busy / blocking_try_acquire_or_busy,
    try_acquire_for / blocking_try_acquire_for,
});
acquire_methods!(Semaphore, "`take` permits at once", acquire_some(take: u32), Self::mode => Permit {
    acquire_many / blocking_acquire_many,
    try_acquire_many / blocking_try_acquire_many,
    try_acquire_many_or_busy / blocking_try_acquire_many_or_busy,
    try_acquire_many_for / blocking_try_acquire_many_for,
});
with_methods!(Semaphore, acquire(), release, |guard| guard.lease().clone() => Lease {
    with, try_with, blocking_with
});

impl Semaphore {
    pub(crate) fn new(spec: LockSpec, permits: u32) -> Self {
        Semaphore { spec, permits }
    }

    /// The number of permits in all.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// The number of permits that were free a moment ago.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn available_permits(&self) -> Result<u32> {
        let snapshot = self.spec.inspect().await?;
        let taken = |mode: Option<Mode>| {
            if let Some(Mode::Permits { take, .. }) = mode { take } else { self.permits }
        };
        let holders = snapshot.holders.iter().filter(|holder| holder.stance != Stance::Waiting);
        Ok(holders.map(|holder| taken(holder.mode)).fold(self.permits, u32::saturating_sub))
    }

    fn mode(&self, take: u32) -> Mode {
        Mode::Permits { take, of: self.permits }
    }
}

blocking!(Semaphore, self: [&self] {
    blocking_available_permits = available_permits() -> u32;
});
