//! The client without `async`.

use std::time::Duration;

use super::{
    CountDownLatch, Election, MultiLock, Mutex, MutexGuard, OncePer, ReentrantMutex, RwLock, Semaphore,
    Session, ToBlocking, block_on,
};
use crate::{Contender, LockOptions, Release, Result, Sequencer, Slot, Snapshot, Store, Ticket};

/// A client of one store. Clones are the same client. See [`crate::Client`].
#[derive(Clone, Debug)]
pub struct Client {
    inner: crate::Client,
}

impl From<crate::Client> for Client {
    fn from(inner: crate::Client) -> Self {
        Client { inner }
    }
}

impl Client {
    /// Connects to the store of a [`StoreUrl`](crate::StoreUrl).
    ///
    /// # Errors
    /// As [`crate::Client::connect`]; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
    pub fn connect(url: &str) -> Result<Client> {
        block_on(crate::Client::connect(url)).map(Client::from)
    }

    /// As [`Client::connect`], with other terms than the usual ones and those of the URL.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_with(url: &str, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Client> {
        block_on(crate::Client::connect_with(url, change)).map(Client::from)
    }

    /// Makes a client of a store of your own.
    ///
    /// # Errors
    /// As [`crate::Client::with_store`].
    pub fn with_store(store: impl Store) -> Result<Client> {
        crate::Client::with_store(store).map(Client::from)
    }

    /// The same client with other terms for the locks that it makes from now on.
    #[must_use]
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Client {
        Client { inner: self.inner.with_terms(change) }
    }

    /// The async client that this one stands on.
    pub fn as_async(&self) -> &crate::Client {
        &self.inner
    }

    /// How this client stands with its store, as a value to watch. No I/O.
    pub fn session(&self) -> Session {
        Session { inner: self.inner.session() }
    }

    /// Takes over the hold that a ticket stands for.
    ///
    /// # Errors
    /// As [`crate::Client::adopt`].
    pub fn adopt(&self, ticket: &Ticket) -> Result<MutexGuard> {
        block_on(self.inner.adopt(ticket)).map(ToBlocking::reflect)
    }

    /// Ends the hold that a ticket stands for.
    ///
    /// # Errors
    /// Those of the store.
    pub fn release(&self, ticket: &Ticket) -> Result<Release> {
        block_on(self.inner.release(ticket))
    }

    /// Who holds a lock and who waits for it.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    pub fn inspect(&self, name: impl AsRef<str>) -> Result<Snapshot> {
        block_on(self.inner.inspect(name))
    }

    /// The locks in use whose names begin with `prefix`, at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        block_on(self.inner.list(prefix, limit))
    }

    /// Throws out whoever holds a lock, and raises its fencing counter.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    pub fn force_release(&self, name: impl AsRef<str>) -> Result<Vec<Contender>> {
        block_on(self.inner.force_release(name))
    }

    /// Whether the grant that a sequencer speaks of still holds the lock.
    ///
    /// # Errors
    /// Those of the store.
    pub fn check(&self, sequencer: &Sequencer) -> Result<bool> {
        block_on(self.inner.check(sequencer))
    }

    /// Ends the client; releases under way are awaited for at most `patience`.
    ///
    /// # Errors
    /// As [`crate::Client::close`].
    pub fn close(&self, patience: Duration) -> Result<()> {
        block_on(self.inner.close(patience))
    }
}

/// Describing a lock does not wait.
macro_rules! describe {
    ($($(#[$doc:meta])* fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As the method of this name of [`crate::Client`].
                pub fn $method(&self, $($argument: $type),*) -> Result<$answer> {
                    self.inner.$method($($argument),*).map(<$answer>::from)
                }
            )*

            /// Describes several locks that are held together.
            ///
            /// # Errors
            /// As [`crate::Client::multi`].
            pub fn multi_lock<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<MultiLock> {
                self.inner.multi_lock(names).map(MultiLock::from)
            }
        }
    };
}

describe! {
    /// Describes a mutual exclusion lock.
    fn mutex(name: impl AsRef<str>) -> Mutex;
    /// Describes a readers-writer lock.
    fn rw_lock(name: impl AsRef<str>) -> RwLock;
    /// Describes a semaphore of `permits` places.
    fn semaphore(name: impl AsRef<str>, permits: u32) -> Semaphore;
    /// Describes a mutex that its owner may lock again.
    fn reentrant_mutex(name: impl AsRef<str>) -> ReentrantMutex;
    /// Describes an election.
    fn election(name: impl AsRef<str>) -> Election;
    /// Describes a latch that opens after `count` arrivals.
    fn count_down_latch(name: impl AsRef<str>, count: u32) -> CountDownLatch;
    /// Describes a job that runs once per slot on the whole fleet.
    fn once_per(job: impl AsRef<str>, slot: Slot) -> OncePer;
}
