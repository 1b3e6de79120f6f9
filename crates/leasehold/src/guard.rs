//! The guards: a held lock as a value. Dropping one releases the lock in the background.

use std::{fmt, time::Duration};

use leasehold_core::{Contender, Error, Hold, Lease, Lost, Mode, Release, Result, Ticket};

use crate::{
    block_on::{self, refuse_async_context},
    locks::blocking,
};

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

/// Defines the methods of a guard that borrow it, by the path to its [`Hold`]; it derefs to the [`Lease`].
macro_rules! hold_methods {
    ($name:ident, $($hold:ident).+) => {
        impl $name {
            /// The lease, to share with tasks that work under this guard.
            pub fn lease(&self) -> &Lease {
                self.$($hold).+.lease()
            }

            /// Asks the store whether the lock is still held, and prolongs it: one round trip.
            ///
            /// # Errors
            /// [`ErrorKind::Lost`](crate::ErrorKind) when it is not; those of the store.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn confirm(&self) -> Result<()> {
                self.$($hold).+.confirm().await
            }

            /// Completes when another client waits for the lock, and answers which: so a lock that nobody else wants can be
            /// kept, and given back when somebody does; see the example of [`MutexGuard`](crate::MutexGuard).
            ///
            /// A client that only tries, and does not wait, is not seen. It completes at once when some wait already. Two
            /// round trips at first, then none until something changes; one a second where the store has no wake-ups.
            ///
            /// # Errors
            /// [`ErrorKind::Unsupported`](crate::ErrorKind) where the store does not know its waiters
            /// ([`Capability::waiters`](crate::store::Capability)); [`ErrorKind::Lost`](crate::ErrorKind) when the lease is
            /// lost meanwhile; those of the store.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn contended(&self) -> Result<Contender> {
                self.$($hold).+.contended().await
            }

            /// Checks in a transaction of the same PostgreSQL database that the lock is still held, and keeps the next holder
            /// out until that transaction ends: what it writes is written by the newest holder, whatever clocks and pauses
            /// do. Call it first in the transaction, of `tokio-postgres` or (feature `sqlx`) of `sqlx`.
            ///
            /// # Errors
            /// [`ErrorKind::Stale`](crate::ErrorKind) when the lease is over: the transaction can only be rolled back.
            /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a lock in another store; those of the server.
            ///
            /// # Cancel safety
            /// Dropped half-way, the transaction is in an unknown state: roll it back.
            #[cfg(feature = "postgres")]
            pub async fn check_in(
                &self,
                transaction: impl $crate::postgres::PostgresTransaction,
            ) -> Result<()> {
                $crate::postgres::check_in_hold(&self.$($hold).+, transaction).await
            }

            /// [`Lease::lost`] without async: blocks until the lease is lost.
            ///
            /// # Errors
            /// [`ErrorKind::WouldDeadlock`](crate::ErrorKind) in an async task.
            pub fn blocking_lost(&self) -> Result<Lost> {
                $crate::block_on(self.lease().lost())
            }
        }

        $crate::locks::blocking!($name, self: [&self] {
            blocking_confirm = confirm() -> ();
            blocking_contended = contended() -> Contender;
        });

        impl std::ops::Deref for $name {
            type Target = Lease;

            fn deref(&self) -> &Lease {
                self.lease()
            }
        }
    };
}

/// Defines the methods that end a guard, for a type with a `hold` of its own.
macro_rules! release_methods {
    ($name:ident, $release:ident, $blocking_release:ident) => {
        impl $name {
            /// Releases the lock and waits for the store's answer; [`Release::NotHeld`] means that it was lost before.
            ///
            /// # Errors
            /// Those of the store. The watchdog repeats the release until the ttl has ended the hold.
            ///
            /// # Cancel safety
            /// Dropping the future hands the release to the watchdog.
            pub async fn $release(self) -> Result<Release> {
                self.hold.release().await
            }

            /// Ends the guard without releasing the lock: the hold lives on in the store for `keep_for`, or for the rest of
            /// its ttl if that is longer. Any process can adopt or release it by the ticket.
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

        $crate::locks::blocking!($name, self: [self] {
            $blocking_release = $release() -> Release;
            blocking_detach = detach(keep_for: Duration) -> Ticket;
        });
    };
}

pub(crate) use {hold_methods, release_methods};

/// Defines the guard of a lock: an RAII value around a [`Hold`].
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
        }

        hold_methods!($name, hold);
        release_methods!($name, release, blocking_release);
    };
}

guard! {
    /// A held [`Mutex`](crate::Mutex).
    ///
    /// A holder that keeps the lock until another client wants it:
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
    /// Held permits of a [`Semaphore`](crate::Semaphore).
    Permit
}

impl WriteGuard {
    /// Becomes a reader and lets other readers in: the lock is never free in between, and the fencing token stays.
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

blocking!(WriteGuard, self: [self] {
    blocking_downgrade = downgrade() -> ReadGuard;
});

impl ReadGuard {
    /// Becomes the writer if there is no other reader. It never waits: two readers that waited for each other to leave
    /// would wait for ever.
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

    /// [`ReadGuard::upgrade`] without async: the thread blocks.
    ///
    /// # Errors
    /// As [`ReadGuard::upgrade`]; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) in an async task.
    pub fn blocking_upgrade(self) -> Result<WriteGuard, UpgradeRefused> {
        match refuse_async_context() {
            Ok(()) => block_on::park_on(self.upgrade()),
            // Asked first, so that the guard can be given back in every case.
            Err(error) => Err(UpgradeRefused { guard: self, error }),
        }
    }
}

/// An upgrade that was not granted, with the read guard as it was.
#[derive(Debug)]
pub struct UpgradeRefused {
    /// The read guard.
    pub guard: ReadGuard,
    /// The reason.
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
