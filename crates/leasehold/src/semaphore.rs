//! [`Semaphore`]: up to so many at a time.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Busy, LockName, LockOptions, Mode, Result, Snapshot, Stance, Wait};

use crate::{Permit, client::LockSpec};

/// A semaphore: a cheap description, `Clone`, no I/O.
///
/// The number of permits is stored with those who use it: stating another number is an error that names both. A
/// semaphore that nobody uses takes the number of whoever comes first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let gate = locks.semaphore("importers", 3)?;
/// let two = gate.acquire_many(2).await?;
/// assert_eq!(gate.available_permits().await?, 1);
/// assert!(gate.try_acquire_many(2).await?.is_none());
/// two.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    description: LockSpec,
    permits: u32,
}

impl Semaphore {
    pub(crate) fn new(description: LockSpec, permits: u32) -> Result<Self> {
        Ok(Semaphore { description, permits })
    }

    /// The same semaphore on other terms.
    ///
    /// # Errors
    /// As [`Mutex::with_terms`](crate::Mutex::with_terms).
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        Semaphore::new(self.description.with_terms(change)?, self.permits)
    }

    /// Calls `observer` each time the store answers that there is no place.
    #[must_use]
    pub fn on_busy(mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        self.description.observer = Some(Arc::new(observer));
        self
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// How many places there are.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// Waits for one place.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind) when others state another number of permits; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn acquire(&self) -> Result<Permit> {
        self.acquire_many(1).await
    }

    /// Waits for `take` places at once. Without `fair` in its terms, those who take few may overtake it.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`]; [`ErrorKind::Invalid`](crate::ErrorKind) for 0 or more than there are.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn acquire_many(&self, take: u32) -> Result<Permit> {
        self.description.acquire_forever(self.mode(take)).await.map(Permit::new)
    }

    /// Takes one place if there is one.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_acquire(&self) -> Result<Option<Permit>> {
        self.try_acquire_many(1).await
    }

    /// Takes `take` places if there are so many.
    ///
    /// # Errors
    /// As [`Semaphore::acquire_many`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_acquire_many(&self, take: u32) -> Result<Option<Permit>> {
        Ok(self.description.acquire(self.mode(take), Wait::No).await?.map(Permit::new))
    }

    /// Waits for `take` places for at most `wait`.
    ///
    /// # Errors
    /// As [`Semaphore::acquire_many`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_acquire_many_for(&self, take: u32, wait: Duration) -> Result<Option<Permit>> {
        Ok(self.description.acquire(self.mode(take), Wait::For(wait)).await?.map(Permit::new))
    }

    /// How many places were free a moment ago.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn available_permits(&self) -> Result<u32> {
        let snapshot = self.description.inspect().await?;
        let taken = |mode: Option<Mode>| {
            if let Some(Mode::Permits { take, .. }) = mode { take } else { self.permits }
        };
        let used = snapshot
            .holders
            .iter()
            .filter(|holder| holder.stance != Stance::Waiting)
            .map(|it| taken(it.mode));
        Ok(used.fold(self.permits, u32::saturating_sub))
    }

    /// Who has places and who waits.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Snapshot> {
        self.description.inspect().await
    }

    fn mode(&self, take: u32) -> Mode {
        Mode::Permits { take, of: self.permits }
    }
}
