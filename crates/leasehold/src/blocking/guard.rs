//! The guards without `async`. Dropping one releases the lock in the background, as there.

use std::{fmt, ops::Deref, time::Duration};

use super::{
    ToBlocking, block_on,
    block_on::{park_on, refuse_async_context},
};
use crate::{Contender, Error, FencingToken, Lease, LockName, Lost, Release, Result, Ticket};

/// Defines a blocking guard around the async one, which derefs to the same lease.
macro_rules! guard {
    ($(#[$doc:meta])* $name:ident { $($more:item)* }) => {
        $(#[$doc])*
        #[must_use = "dropping the guard releases the lock"]
        #[derive(Debug)]
        pub struct $name {
            inner: crate::$name,
        }

        impl $name {
            /// The lease, to share with threads and tasks that work under this guard.
            pub fn lease(&self) -> &Lease {
                self.inner.lease()
            }

            /// Waits until the lease is lost, and answers why.
            ///
            /// # Errors
            /// [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
            pub fn wait_lost(&self) -> Result<Lost> {
                block_on(async { Ok(self.inner.lost().await) })
            }

            $($more)*
        }

        impl Deref for $name {
            type Target = Lease;

            fn deref(&self) -> &Lease {
                self.inner.lease()
            }
        }

        impl ToBlocking for crate::$name {
            type Blocking = $name;

            fn reflect(self) -> $name {
                $name { inner: self }
            }
        }
    };
}

/// Defines a guard that releases, confirms and detaches.
macro_rules! plain_guard {
    ($(#[$doc:meta])* $name:ident { $($more:item)* }) => {
        guard! {
            $(#[$doc])* $name {
                /// Gives the lock back and waits for the store's answer; [`Release::NotHeld`] says that it was lost before.
                ///
                /// # Errors
                /// Those of the store. The watchdog repeats the release until the ttl has ended the hold.
                pub fn release(self) -> Result<Release> {
                    block_on(self.inner.release())
                }

                /// Asks the store whether the lock is still held, and prolongs it: one round trip.
                ///
                /// # Errors
                /// [`ErrorKind::Lost`](crate::ErrorKind) when it is not; those of the store.
                pub fn confirm(&self) -> Result<()> {
                    block_on(self.inner.confirm())
                }

                /// Waits until somebody waits who is kept out, and answers who. See [`crate::MutexGuard::contended`].
                ///
                /// # Errors
                /// As there.
                pub fn wait_contended(&self) -> Result<Contender> {
                    block_on(self.inner.contended())
                }

                /// Lets go of the hold without releasing it, for `keep_for`; who has the ticket can adopt or release it.
                ///
                /// # Errors
                /// [`ErrorKind::Lost`](crate::ErrorKind), those of the store; the lock is released then.
                pub fn detach(self, keep_for: Duration) -> Result<Ticket> {
                    block_on(self.inner.detach(keep_for))
                }

                $($more)*
            }
        }
    };
}

plain_guard! {
    /// A held [`Mutex`](super::Mutex).
    MutexGuard {}
}

plain_guard! {
    /// The shared side of a held [`RwLock`](super::RwLock).
    ReadGuard {
        /// Becomes the writer if there is no other reader; never waits.
        ///
        /// # Errors
        /// [`UpgradeRefused`] gives the guard back.
        pub fn upgrade(self) -> Result<WriteGuard, UpgradeRefused> {
            // Asked first, so that the guard can be given back in every case.
            if let Err(error) = refuse_async_context() {
                return Err(UpgradeRefused { guard: Box::new(self), error });
            }
            match park_on(self.inner.upgrade()) {
                Ok(guard) => Ok(guard.reflect()),
                Err(crate::UpgradeRefused { guard, error }) => {
                    Err(UpgradeRefused { guard: Box::new(guard.reflect()), error })
                }
            }
        }
    }
}

plain_guard! {
    /// The exclusive side of a held [`RwLock`](super::RwLock).
    WriteGuard {
        /// Lets readers in while going on to read, with the same token.
        ///
        /// # Errors
        /// [`ErrorKind::Lost`](crate::ErrorKind), those of the store; the lock is released then.
        pub fn downgrade(self) -> Result<ReadGuard> {
            block_on(self.inner.downgrade()).map(ToBlocking::reflect)
        }
    }
}

plain_guard! {
    /// Held places of a [`Semaphore`](super::Semaphore).
    Permit {}
}

guard! {
    /// A held [`ReentrantMutex`](super::ReentrantMutex) mutex; released with the last guard of its owner.
    ReentrantGuard {
        /// Another guard of the same lease, without asking anybody.
        pub fn again(&self) -> ReentrantGuard {
            self.inner.again().reflect()
        }

        /// Gives this guard back; `None` while its owner has others.
        ///
        /// # Errors
        /// Those of the store.
        pub fn release(self) -> Result<Option<Release>> {
            block_on(self.inner.release())
        }
    }
}

guard! {
    /// Being the leader of an [`Election`](super::Election).
    Leadership {
        /// Says something else to all others.
        ///
        /// # Errors
        /// As [`crate::Leadership::proclaim`].
        pub fn proclaim(&mut self, value: impl AsRef<str>) -> Result<()> {
            block_on(self.inner.proclaim(value))
        }

        /// Asks the store whether it still leads, and prolongs the lease.
        ///
        /// # Errors
        /// [`ErrorKind::Lost`](crate::ErrorKind) when it does not; those of the store.
        pub fn confirm(&self) -> Result<()> {
            block_on(self.inner.confirm())
        }

        /// Leads no longer.
        ///
        /// # Errors
        /// Those of the store.
        pub fn resign(self) -> Result<Release> {
            block_on(self.inner.resign())
        }
    }
}

/// All locks of a held [`MultiLock`](super::MultiLock). Lost when any of them is lost.
#[must_use = "dropping the guard releases the locks"]
#[derive(Debug)]
pub struct MultiGuard {
    inner: crate::MultiGuard,
}

impl MultiGuard {
    /// The leases, in order of their names.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.inner.leases()
    }

    /// The fencing token of each name.
    pub fn fencing_tokens(&self) -> impl Iterator<Item = (&LockName, Option<FencingToken>)> {
        self.inner.fencing_tokens()
    }

    /// How long all of them are valid from now. No I/O.
    pub fn remaining(&self) -> Duration {
        self.inner.remaining()
    }

    /// Whether all of them are valid at this instant. No I/O.
    ///
    /// # Errors
    /// [`Lost`], from the first loss on for ever.
    pub fn check(&self) -> Result<(), Lost> {
        self.inner.check()
    }

    /// Waits until any of them is lost, and answers why.
    ///
    /// # Errors
    /// [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
    pub fn wait_lost(&self) -> Result<Lost> {
        block_on(async { Ok(self.inner.lost().await) })
    }

    /// Gives them all back.
    ///
    /// # Errors
    /// As [`crate::MultiGuard::release`].
    pub fn release(self) -> Result<Release> {
        block_on(self.inner.release())
    }
}

impl ToBlocking for crate::MultiGuard {
    type Blocking = MultiGuard;

    fn reflect(self) -> MultiGuard {
        MultiGuard { inner: self }
    }
}

/// An upgrade that was not granted, and why.
#[derive(Debug)]
pub struct UpgradeRefused {
    /// The read guard, as it was.
    pub guard: Box<ReadGuard>,
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
