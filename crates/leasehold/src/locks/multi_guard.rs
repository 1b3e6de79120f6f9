//! [`MultiGuard`]: all locks of a held [`MultiLock`](crate::MultiLock).

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use leasehold_core::{Contender, FencingToken, Hold, Lease, LockName, Lost, Release, Result, Ticket};

use super::blocking;
#[cfg(doc)]
use crate::ErrorKind;
use crate::block_on::block_on;

/// All locks of a held [`MultiLock`](crate::MultiLock). It is lost when any of them is lost. Dropping it releases them all.
#[must_use = "dropping the guard releases the locks"]
pub struct MultiGuard {
    /// In order of their names.
    pub(super) holds: Vec<Hold>,
}

impl MultiGuard {
    /// The leases, in order of their names.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.holds.iter().map(Hold::lease)
    }

    /// The fencing token of each name.
    pub fn fencing_tokens(&self) -> impl Iterator<Item = (&LockName, Option<FencingToken>)> {
        self.leases().map(|lease| (lease.name(), lease.fencing_token()))
    }

    /// The lease of one of the names.
    pub fn lease(&self, name: &str) -> Option<&Lease> {
        self.leases().find(|lease| lease.name().as_str() == name)
    }

    /// How long all of them are valid from now, if no renewal succeeds. No I/O.
    pub fn remaining(&self) -> Duration {
        self.leases().map(Lease::remaining).min().unwrap_or_default()
    }

    /// Whether all of them are valid at this instant. No I/O.
    ///
    /// # Errors
    /// [`Lost`], from the first loss on for ever.
    pub fn check(&self) -> Result<(), Lost> {
        self.leases().try_for_each(Lease::check)
    }

    /// Completes when any of them is lost.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) -> Lost {
        first(self.leases().map(Lease::lost)).await
    }

    /// Completes when another client waits for any of them, and answers which.
    ///
    /// # Errors
    /// As [`MutexGuard::contended`](crate::MutexGuard::contended).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn contended(&self) -> Result<Contender> {
        first(self.holds.iter().map(Hold::contended)).await
    }

    /// Asks the store whether all of them are still held, and prolongs them: one round trip each.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when one of them is not; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn confirm(&self) -> Result<()> {
        for hold in &self.holds {
            hold.confirm().await?;
        }
        Ok(())
    }

    /// Ends the guard without releasing the locks, as [`MutexGuard::detach`](crate::MutexGuard::detach): one ticket each, in
    /// order of the names.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`], those of the store; the locks without a ticket are released then.
    ///
    /// # Cancel safety
    /// Dropping the future releases the locks that have no ticket yet.
    pub async fn detach(self, keep_for: Duration) -> Result<Vec<Ticket>> {
        let mut tickets = Vec::with_capacity(self.holds.len());
        for hold in self.holds {
            tickets.push(hold.detach(keep_for).await?);
        }
        Ok(tickets)
    }

    /// [`MultiGuard::lost`] without async: blocks until one of them is lost.
    ///
    /// # Errors
    /// [`ErrorKind::WouldDeadlock`] in an async task.
    pub fn blocking_lost(&self) -> Result<Lost> {
        block_on(self.lost())
    }

    /// Runs `work` while all of them are valid: checked before every poll, dropped when any is lost.
    ///
    /// # Errors
    /// As [`Lease::run`].
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        let (mut work, mut lost) = (pin!(work), pin!(self.lost()));
        poll_fn(|context| {
            if let Poll::Ready(lost) = lost.as_mut().poll(context) {
                return Poll::Ready(Err(lost));
            }
            work.as_mut().poll(context).map(|output| self.check().map(|()| output))
        })
        .await
    }

    /// Releases all of them. [`Release::NotHeld`] means that at least one was lost before.
    ///
    /// # Errors
    /// The first of the store; the others are released all the same, and the watchdog repeats what failed.
    ///
    /// # Cancel safety
    /// Dropping the future hands what is not yet released to the watchdog.
    pub async fn release(mut self) -> Result<Release> {
        let mut answer = Ok(Release::Released);
        while let Some(hold) = self.holds.pop() {
            match (hold.release().await, &answer) {
                (Ok(Release::NotHeld), Ok(_)) => answer = Ok(Release::NotHeld),
                (Err(error), Ok(_)) => answer = Err(error),
                _ => {}
            }
        }
        answer
    }
}

blocking!(MultiGuard, self: [self] {
    blocking_release = release() -> Release;
    blocking_detach = detach(keep_for: Duration) -> Vec<Ticket>;
});

blocking!(MultiGuard, self: [&self] {
    blocking_confirm = confirm() -> ();
    blocking_contended = contended() -> Contender;
});

/// The output of the future that completes first.
async fn first<F: Future>(futures: impl Iterator<Item = F>) -> F::Output {
    let mut all: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    poll_fn(|context| {
        let mut polls = all.iter_mut().map(|future| future.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

impl fmt::Debug for MultiGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.leases()).finish()
    }
}
