//! Notice of a waiter to the holder: Chubby's conflicting-request event.

use super::{Engine, Hold, LockWatcher};
use crate::{
    Contender, Error, Mode, Queueing, Result, Snapshot,
    decide::grant::{QueueEntry, kept_out},
};

impl Hold {
    /// Completes with the first waiter that this lock's holders keep out. So a holder can keep an uncontended lock and
    /// release it on demand, as Chubby's clients do with their conflicting-request event (Burrows, "The Chubby lock
    /// service", 2006, section 2.5).
    ///
    /// A claim that does not wait is not reported. It completes at once while there is a waiter. The first poll
    /// subscribes and inspects: two round trips. A store without wake-ups
    /// ([`Capability::wakes`](crate::Capability)) is inspected once a second.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) where the store does not know its waiters
    /// ([`Capability::waiters`](crate::Capability)); [`ErrorKind::Lost`](crate::ErrorKind) when the lease is lost
    /// meanwhile; those of the store that outlasted the retry timeout.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn contended(&self) -> Result<Contender> {
        let capability = self.attempt.core.store.capability();
        if !capability.waiters {
            return Err(capability
                .lacks("list of waiters, so a holder cannot be notified of them")
                .lock(self.name()));
        }
        let engine = Engine(self.attempt.core.clone());
        let mut watcher = LockWatcher::new(&engine, self.name(), self.retry_timeout);
        let found = self.lease().run(watcher.until(waiting)).await;
        found.map_err(|lost| Error::from(lost).lock(self.name()).store(engine.store().url()))?
    }
}

/// The first waiter that is kept out.
fn waiting(snapshot: &Snapshot) -> Option<Contender> {
    let holders = snapshot.holders.iter().map(|holder| entry(holder, true));
    let waiters = snapshot.waiters.iter().map(|waiter| entry(waiter, false));
    let queue: Vec<QueueEntry> = holders.chain(waiters).collect();
    let first = kept_out(&queue).first()? - snapshot.holders.len();
    snapshot.waiters.get(first).cloned()
}

/// A contender of unknown mode counts as exclusive. Barging waiters count as queued: that changes which waiter is kept
/// out, not whether one is.
fn entry(contender: &Contender, holds: bool) -> QueueEntry {
    QueueEntry { mode: contender.mode.unwrap_or(Mode::Exclusive), queueing: Queueing::Fifo, holds }
}
