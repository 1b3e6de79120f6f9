//! The lock that the command line describes, of any kind, and its hold.

use std::{io::IsTerminal, time::Duration};

use leasehold::{
    Busy, Election, Error, ErrorKind, Leadership, Lease, Mutex, MutexGuard, Permit, ReadGuard, RwLock,
    Semaphore, Ticket, store::Release,
};

use crate::duration;

/// Default limit of a wait without a terminal.
const WAIT_UNATTENDED: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitLimit {
    NoWait,
    For(Duration),
    Forever,
}

impl WaitLimit {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(WaitLimit::Forever);
        }
        duration::parse(text).map(WaitLimit::For)
    }

    /// The rest of it after a wait.
    pub(crate) fn after(self, waited: Duration) -> Self {
        match self {
            WaitLimit::For(span) => WaitLimit::For(span.saturating_sub(waited)),
            WaitLimit::NoWait | WaitLimit::Forever => self,
        }
    }

    /// A pause of `pause`, or what is left.
    pub(crate) fn at_most(self, pause: Duration) -> Duration {
        match self {
            WaitLimit::NoWait => Duration::ZERO,
            WaitLimit::For(span) => span.min(pause),
            WaitLimit::Forever => pause,
        }
    }

    /// No limit on a terminal, where the user sees the holder and can give up; a limit elsewhere, so that unattended jobs
    /// do not hang.
    pub(crate) fn by_default() -> Self {
        if std::io::stderr().is_terminal() { WaitLimit::Forever } else { WaitLimit::For(WAIT_UNATTENDED) }
    }
}

pub(crate) enum Lock {
    Exclusive(Mutex),
    Shared(RwLock),
    Permits(Semaphore),
    /// An election and the value that the leader publishes.
    Election(Election, String),
}

pub(crate) enum Hold {
    Exclusive(MutexGuard),
    Shared(ReadGuard),
    Permits(Permit),
    Leadership(Leadership),
}

impl Lock {
    #[must_use]
    pub(crate) fn on_busy(self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        match self {
            Lock::Exclusive(lock) => Lock::Exclusive(lock.on_busy(observer)),
            Lock::Shared(lock) => Lock::Shared(lock.on_busy(observer)),
            Lock::Permits(lock) => Lock::Permits(lock.on_busy(observer)),
            Lock::Election(election, value) => Lock::Election(election.on_busy(observer), value),
        }
    }

    /// Acquires the lock; `None` if it stays busy up to the limit. Cancel safe.
    pub(crate) async fn acquire(&self, limit: WaitLimit) -> leasehold::Result<Option<Hold>> {
        Ok(match self {
            Lock::Exclusive(lock) => match limit {
                WaitLimit::NoWait => lock.try_lock().await?,
                WaitLimit::For(span) => lock.try_lock_for(span).await?,
                WaitLimit::Forever => Some(lock.lock().await?),
            }
            .map(Hold::Exclusive),
            Lock::Shared(lock) => match limit {
                WaitLimit::NoWait => lock.try_read().await?,
                WaitLimit::For(span) => lock.try_read_for(span).await?,
                WaitLimit::Forever => Some(lock.read().await?),
            }
            .map(Hold::Shared),
            Lock::Permits(lock) => match limit {
                WaitLimit::NoWait => lock.try_acquire().await?,
                WaitLimit::For(span) => lock.try_acquire_many_for(1, span).await?,
                WaitLimit::Forever => Some(lock.acquire().await?),
            }
            .map(Hold::Permits),
            Lock::Election(election, value) => match limit {
                WaitLimit::NoWait => election.try_campaign(value).await?,
                WaitLimit::For(span) => election.try_campaign_for(value, span).await?,
                WaitLimit::Forever => Some(election.campaign(value).await?),
            }
            .map(Hold::Leadership),
        })
    }
}

impl Hold {
    pub(crate) fn lease(&self) -> &Lease {
        match self {
            Hold::Exclusive(guard) => guard.lease(),
            Hold::Shared(guard) => guard.lease(),
            Hold::Permits(guard) => guard.lease(),
            Hold::Leadership(guard) => guard.lease(),
        }
    }

    pub(crate) async fn release(self) -> leasehold::Result<Release> {
        match self {
            Hold::Exclusive(guard) => guard.release().await,
            Hold::Shared(guard) => guard.release().await,
            Hold::Permits(guard) => guard.release().await,
            Hold::Leadership(guard) => guard.resign().await,
        }
    }

    /// Detaches the hold from this process, to last for `keep_for`.
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
