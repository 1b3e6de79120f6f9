//! The locks without `async`: each call does what the async one of the same name does, and waits for it.

use std::time::Duration;

use super::{
    ToBlocking, block_on,
    guard::{Leadership, MultiGuard, MutexGuard, Permit, ReadGuard, ReentrantGuard, WriteGuard},
};
use crate::{Busy, Contender, Leader, Lease, LockName, LockOptions, Owner, Result, RunOutcome, Snapshot};

/// Defines a blocking lock around the async one.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident { $(
        $(#[$method_doc:meta])*
        fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;
    )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            inner: crate::$name,
        }

        impl $name {
            $(
                $(#[$method_doc])*
                ///
                /// # Errors
                /// As the async method of this name; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
                pub fn $method(&self $(, $argument: $type)*) -> Result<$answer> {
                    block_on(self.inner.$method($($argument),*)).map(ToBlocking::reflect)
                }
            )*
        }

        impl From<crate::$name> for $name {
            fn from(inner: crate::$name) -> Self {
                $name { inner }
            }
        }
    };
}

/// Adds what describes a lock and does not wait.
macro_rules! described {
    ($($name:ident),*) => {
        $(impl $name {
            /// The same on other terms.
            ///
            /// # Errors
            /// [`ErrorKind::Invalid`](crate::ErrorKind) and [`ErrorKind::Unsupported`](crate::ErrorKind) for terms that
            /// the store cannot keep.
            pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
                self.inner.with_terms(change).map(Self::from)
            }

            /// The name.
            pub fn name(&self) -> &LockName {
                self.inner.name()
            }
        })*
    };
}

macro_rules! observed {
    ($($name:ident),*) => {
        $(impl $name {
            /// Calls `observer` each time the store answers that it is taken.
            #[must_use]
            pub fn on_busy(self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
                Self::from(self.inner.on_busy(observer))
            }
        })*
    };
}

described!(Mutex, RwLock, Semaphore, ReentrantMutex, Election);
observed!(Mutex, RwLock, Semaphore, Election);

mirror! {
    /// One holder at a time. See [`crate::Mutex`].
    ///
    /// ```
    /// # fn main() -> leasehold::Result<()> {
    /// let mutex = leasehold::blocking::Client::connect("memory:")?.mutex("report")?;
    /// let guard = mutex.lock()?;
    /// assert!(mutex.try_lock()?.is_none());
    /// guard.release()?;
    /// # Ok(()) }
    /// ```
    Mutex {
        /// Waits for the lock for as long as it takes.
        fn lock() -> MutexGuard;
        /// Takes the lock if it is free.
        fn try_lock() -> Option<MutexGuard>;
        /// Waits for the lock for at most `wait`.
        fn try_lock_for(wait: Duration) -> Option<MutexGuard>;
        /// Who holds it and who waits.
        fn inspect() -> Snapshot;
        /// Throws out whoever holds it, and raises the fencing counter.
        fn force_release() -> Vec<Contender>;
    }
}

impl Mutex {
    /// Locks, runs `work` and releases. Code that blocks cannot be stopped from outside: let `work` call
    /// [`Lease::check`] before each side effect.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind) when the lease was lost by the time `work` was done; as [`Mutex::lock`].
    pub fn with<T>(&self, work: impl FnOnce(&Lease) -> T) -> Result<T> {
        let guard = self.lock()?;
        let output = work(&guard);
        guard.check()?;
        drop(guard);
        Ok(output)
    }

    /// The same lock, for owners that lock it again while they hold it.
    pub fn reentrant(&self) -> ReentrantMutex {
        self.inner.reentrant().into()
    }
}

mirror! {
    /// Many readers or one writer. See [`crate::RwLock`].
    RwLock {
        /// Waits to read.
        fn read() -> ReadGuard;
        /// Reads if nobody writes or waits to.
        fn try_read() -> Option<ReadGuard>;
        /// Waits to read for at most `wait`.
        fn try_read_for(wait: Duration) -> Option<ReadGuard>;
        /// Waits to write.
        fn write() -> WriteGuard;
        /// Writes if nobody reads or writes.
        fn try_write() -> Option<WriteGuard>;
        /// Waits to write for at most `wait`.
        fn try_write_for(wait: Duration) -> Option<WriteGuard>;
        /// Who holds it and who waits.
        fn inspect() -> Snapshot;
    }
}

mirror! {
    /// Up to so many at a time. See [`crate::Semaphore`].
    Semaphore {
        /// Waits for one place.
        fn acquire() -> Permit;
        /// Waits for `take` places at once.
        fn acquire_many(take: u32) -> Permit;
        /// Takes one place if there is one.
        fn try_acquire() -> Option<Permit>;
        /// Takes `take` places if there are so many.
        fn try_acquire_many(take: u32) -> Option<Permit>;
        /// Waits for `take` places for at most `wait`.
        fn try_acquire_many_for(take: u32, wait: Duration) -> Option<Permit>;
        /// How many places were free a moment ago.
        fn available_permits() -> u32;
        /// Who has places and who waits.
        fn inspect() -> Snapshot;
    }
}

impl Semaphore {
    /// How many places there are.
    pub fn permits(&self) -> u32 {
        self.inner.permits()
    }
}

mirror! {
    /// A mutex that its owner may lock again. See [`crate::ReentrantMutex`].
    ReentrantMutex {
        /// Waits until `owner` has the lock; at once if it has it already.
        fn lock_as(owner: &Owner) -> ReentrantGuard;
        /// Takes the lock for `owner` if it is free, or the owner's already.
        fn try_lock_as(owner: &Owner) -> Option<ReentrantGuard>;
        /// Waits for the lock for at most `wait`.
        fn try_lock_as_for(owner: &Owner, wait: Duration) -> Option<ReentrantGuard>;
    }
}

mirror! {
    /// Several locks at once, all or none. See [`crate::MultiLock`].
    MultiLock {
        /// Waits for all of them.
        fn lock() -> MultiGuard;
        /// Takes all of them if all are free.
        fn try_lock() -> Option<MultiGuard>;
        /// Waits for all of them for at most `wait` in all.
        fn try_lock_for(wait: Duration) -> Option<MultiGuard>;
    }
}

impl MultiLock {
    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &LockName> {
        self.inner.names()
    }
}

mirror! {
    /// One leader at a time, known to all. See [`crate::Election`].
    Election {
        /// Waits to lead, and then says `value`.
        fn campaign(value: &str) -> Leadership;
        /// Leads if nobody does.
        fn try_campaign(value: &str) -> Option<Leadership>;
        /// Waits to lead for at most `wait`.
        fn try_campaign_for(value: &str, wait: Duration) -> Option<Leadership>;
        /// Who leads, as the store has it a moment ago.
        fn leader() -> Option<Leader>;
    }
}

impl Election {
    /// Follows who leads. No I/O until it is asked.
    pub fn observe(&self) -> Observer {
        Observer { inner: self.inner.observe() }
    }
}

/// Follows who leads an [`Election`]. See [`crate::Observer`].
#[derive(Debug)]
pub struct Observer {
    inner: crate::Observer,
}

impl Observer {
    /// Waits until another leads, says something else or nobody leads. The first call answers at once.
    ///
    /// # Errors
    /// As [`crate::Observer::changed`]; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
    pub fn changed(&mut self) -> Result<Option<Leader>> {
        block_on(self.inner.changed())
    }
}

mirror! {
    /// Waits until so many have arrived. See [`crate::CountDownLatch`].
    CountDownLatch {
        /// Arrives.
        fn count_down() -> ();
        /// How many have yet to arrive.
        fn remaining() -> u32;
        /// Waits until all have arrived.
        fn wait() -> ();
        /// Waits until all have arrived for at most `wait`; answers whether they have.
        fn wait_for(wait: Duration) -> bool;
        /// Forgets all arrivals.
        fn reset() -> Vec<Contender>;
    }
}

impl CountDownLatch {
    /// The same latch with another time for which an arrival is remembered.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a time that the store cannot keep.
    pub fn remember_for(self, time: Duration) -> Result<Self> {
        self.inner.remember_for(time).map(Self::from)
    }
}

mirror! {
    /// A job that runs once per slot on the whole fleet. See [`crate::OncePer`], whose options are set before it is
    /// made into this one.
    OncePer {}
}

impl OncePer {
    /// Runs `work` under a lease if this slot is not taken. Code that blocks cannot be stopped from outside: let `work`
    /// call [`Lease::check`] before each side effect.
    ///
    /// # Errors
    /// As [`crate::OncePer::run`]; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
    pub fn run<T>(&self, work: impl FnOnce(&Lease) -> T) -> Result<RunOutcome<T>> {
        block_on(self.inner.run(|lease| async move { work(&lease) }))
    }
}
