//! The lock that the command line describes, and its hold, whatever its kind.

use std::time::Duration;

use anyhow::Result;
use leasehold::{
    Busy, Client, Election, Error, ErrorKind, Leadership, Lease, LockName, LockOptions, Mutex, MutexGuard,
    Permit, ReadGuard, Release, RwLock, Semaphore, Ticket,
};

use crate::args::{Sharing, Waiting};

/// A lock to be taken.
pub(crate) enum Lock {
    Exclusive(Mutex),
    Shared(RwLock),
    Permits(Semaphore),
    /// An election, and what the leader says.
    Election(Election, String),
}

/// A lock that was taken.
pub(crate) enum Hold {
    Exclusive(MutexGuard),
    Shared(ReadGuard),
    Permits(Permit),
    Leadership(Leadership),
}

impl Lock {
    /// Describes the lock. No I/O.
    pub(crate) fn new(client: &Client, name: &LockName, sharing: &Sharing) -> Result<Self> {
        let fair = |terms: LockOptions| if sharing.fair { terms.fair() } else { terms };
        Ok(match sharing.permits {
            Some(permits) => Lock::Permits(client.semaphore(name, permits.get())?.with_terms(fair)?),
            None if sharing.shared => Lock::Shared(client.rw_lock(name)?.with_terms(fair)?),
            None => Lock::Exclusive(client.mutex(name)?.with_terms(fair)?),
        })
    }

    /// Calls `observer` each time the store answers that the lock is taken.
    #[must_use]
    pub(crate) fn on_busy(self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        match self {
            Lock::Exclusive(lock) => Lock::Exclusive(lock.on_busy(observer)),
            Lock::Shared(lock) => Lock::Shared(lock.on_busy(observer)),
            Lock::Permits(lock) => Lock::Permits(lock.on_busy(observer)),
            Lock::Election(election, value) => Lock::Election(election.on_busy(observer), value),
        }
    }

    /// Takes the lock; `None` when it is busy for as long as `waiting` allows. Cancel safe.
    pub(crate) async fn take(&self, waiting: Option<Waiting>) -> leasehold::Result<Option<Hold>> {
        Ok(match self {
            Lock::Exclusive(lock) => match waiting {
                None => lock.try_lock().await?,
                Some(Waiting::For(span)) => lock.try_lock_for(span).await?,
                Some(Waiting::Forever) => Some(lock.lock().await?),
            }
            .map(Hold::Exclusive),
            Lock::Shared(lock) => match waiting {
                None => lock.try_read().await?,
                Some(Waiting::For(span)) => lock.try_read_for(span).await?,
                Some(Waiting::Forever) => Some(lock.read().await?),
            }
            .map(Hold::Shared),
            Lock::Permits(lock) => match waiting {
                None => lock.try_acquire().await?,
                Some(Waiting::For(span)) => lock.try_acquire_many_for(1, span).await?,
                Some(Waiting::Forever) => Some(lock.acquire().await?),
            }
            .map(Hold::Permits),
            Lock::Election(election, value) => match waiting {
                None => election.try_campaign(value).await?,
                Some(Waiting::For(span)) => election.try_campaign_for(value, span).await?,
                Some(Waiting::Forever) => Some(election.campaign(value).await?),
            }
            .map(Hold::Leadership),
        })
    }
}

impl Hold {
    /// The lease.
    pub(crate) fn lease(&self) -> &Lease {
        match self {
            Hold::Exclusive(guard) => guard.lease(),
            Hold::Shared(guard) => guard.lease(),
            Hold::Permits(guard) => guard.lease(),
            Hold::Leadership(guard) => guard.lease(),
        }
    }

    /// Gives the lock back.
    pub(crate) async fn release(self) -> leasehold::Result<Release> {
        match self {
            Hold::Exclusive(guard) => guard.release().await,
            Hold::Shared(guard) => guard.release().await,
            Hold::Permits(guard) => guard.release().await,
            Hold::Leadership(guard) => guard.resign().await,
        }
    }

    /// Leaves the hold in the store for `keep_for`.
    pub(crate) async fn detach(self, keep_for: Duration) -> leasehold::Result<Ticket> {
        match self {
            Hold::Exclusive(guard) => guard.detach(keep_for).await,
            Hold::Shared(guard) => guard.detach(keep_for).await,
            Hold::Permits(guard) => guard.detach(keep_for).await,
            Hold::Leadership(_) => {
                Err(Error::new(ErrorKind::Unsupported, "a leadership ends with its process"))
            }
        }
    }
}
