//! The guards: a held lock as a value. Dropping one releases the lock in the background.

use std::{fmt, ops::Deref, time::Duration};

use leasehold_core::{Contender, Error, Hold, Lease, Mode, Release, Result, Ticket};

/// A1: a release consumes its guard, so there is no second one to make.
///
/// ```compile_fail,E0382
/// # async fn twice(guard: leasehold::MutexGuard) -> leasehold::Result<()> {
/// guard.release().await?;
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[cfg(doctest)]
struct NoSecondRelease;

/// Defines a guard: an RAII value around a [`Hold`] that derefs to its [`Lease`].
macro_rules! guard {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use = "dropping the guard releases the lock"]
        #[derive(Debug)]
        pub struct $name {
            pub(crate) hold: Hold,
        }

        impl $name {
            pub(crate) fn new(hold: Hold) -> Self {
                $name { hold }
            }

            /// The lease, to share with tasks that work under this guard.
            pub fn lease(&self) -> &Lease {
                self.hold.lease()
            }

            /// Gives the lock back and waits for the store's answer; [`Release::NotHeld`] says that it was lost before.
            ///
            /// # Errors
            /// Those of the store. The watchdog repeats the release until the ttl has ended the hold.
            ///
            /// # Cancel safety
            /// Dropping the future hands the release to the watchdog.
            pub async fn release(self) -> Result<Release> {
                self.hold.release().await
            }

            /// Asks the store whether the lock is still held, and prolongs it: one round trip.
            ///
            /// # Errors
            /// [`ErrorKind::Lost`](crate::ErrorKind) when it is not; those of the store.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn confirm(&self) -> Result<()> {
                self.hold.confirm().await
            }

            /// Completes when somebody waits who is kept out by this lock's holders, and answers who: so a lock that nobody
            /// else wants can be kept, and given back when somebody does.
            ///
            /// Whoever only tries, and does not wait, is not heard of. It completes at once for those who wait already.
            /// Two round trips for those who ask, then none until something changes; where the store wakes nobody, one
            /// a second.
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
            /// let locks = leasehold::Client::connect("memory:").await?;
            /// let guard = locks.mutex("cache/7")?.lock().await?;
            /// let other = locks.rw_lock("cache/7")?;
            /// let holder = async {
            ///     let waiter = guard.contended().await?;          // until then it may go on
            ///     assert!(waiter.note.is_some());
            ///     guard.release().await
            /// };
            /// let (_, read) = tokio::try_join!(holder, other.read())?;
            /// read.release().await?;
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// [`ErrorKind::Unsupported`](crate::ErrorKind) where the store does not see who waits
            /// ([`Capability::waiters`](crate::Capability)); [`ErrorKind::Lost`](crate::ErrorKind) when the lease is
            /// lost meanwhile; those of the store.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn contended(&self) -> Result<Contender> {
                self.hold.contended().await
            }

            /// Lets go of the hold without releasing it: it lives on in the store for `keep_for`, or for what is left of
            /// its ttl if that is longer, and whoever has the ticket can adopt or release it, from any process.
            ///
            /// # Errors
            /// [`ErrorKind::Lost`](crate::ErrorKind), those of the store; the lock is released then.
            ///
            /// # Cancel safety
            /// Dropping the future releases the lock.
            pub async fn detach(self, keep_for: Duration) -> Result<Ticket> {
                self.hold.detach(keep_for).await
            }
        }

        impl Deref for $name {
            type Target = Lease;

            fn deref(&self) -> &Lease {
                self.hold.lease()
            }
        }
    };
}

guard! {
    /// A held [`Mutex`](crate::Mutex).
    MutexGuard
}

guard! {
    /// The shared side of a held [`RwLock`](crate::RwLock).
    ReadGuard
}

guard! {
    /// The exclusive side of a held [`RwLock`](crate::RwLock).
    WriteGuard
}

guard! {
    /// Held places of a [`Semaphore`](crate::Semaphore).
    Permit
}

impl WriteGuard {
    /// Lets readers in while going on to read: the lock is never free in between, and the token stays the same.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind), those of the store; the lock is released then.
    ///
    /// # Cancel safety
    /// Dropping the future releases the lock.
    pub async fn downgrade(mut self) -> Result<ReadGuard> {
        self.hold.amend(|claim| claim.mode = Mode::Shared).await?;
        Ok(ReadGuard::new(self.hold))
    }
}

impl ReadGuard {
    /// Becomes the writer if there is no other reader; never waits, because two readers that wait for each other to
    /// leave would wait for ever.
    ///
    /// # Errors
    /// [`UpgradeRefused`] gives the guard back, with [`ErrorKind::WouldDeadlock`](crate::ErrorKind) when there are
    /// other readers. Release it and lock for writing instead; what was read must be read again then.
    ///
    /// # Cancel safety
    /// Dropping the future releases the lock.
    pub async fn upgrade(mut self) -> Result<WriteGuard, UpgradeRefused> {
        match self.hold.amend(|claim| claim.mode = Mode::Exclusive).await {
            Ok(()) => Ok(WriteGuard::new(self.hold)),
            Err(error) => Err(UpgradeRefused { guard: self, error }),
        }
    }
}

/// An upgrade that was not granted: the guard, as it was, and why.
#[derive(Debug)]
pub struct UpgradeRefused {
    /// The read guard.
    pub guard: ReadGuard,
    /// Why.
    pub error: Error,
}

impl fmt::Display for UpgradeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upgrade refused: {}", self.error)
    }
}

impl std::error::Error for UpgradeRefused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
