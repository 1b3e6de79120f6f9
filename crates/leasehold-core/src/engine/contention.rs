//! That somebody waits for what is held: Chubby's conflicting-request event.

use super::{Engine, Hold, LockWatcher};
use crate::{
    Contender, Error, Mode, Queueing, Result, Snapshot,
    decide::grant::{Place, kept_out},
};

impl Hold {
    /// Completes when somebody waits whom this lock's holders keep out, and answers who. So a holder can keep a lock that
    /// nobody else wants and give it back when somebody does, as Chubby's clients do with their conflicting-request
    /// event (Burrows, "The Chubby lock service", 2006, section 2.5).
    ///
    /// Somebody who only tries, and does not wait, is not heard of. It completes at once for those who wait already, and
    /// again as long as they do. The first poll subscribes and looks: two round trips, for those alone who ask. Where the
    /// store wakes nobody ([`Capability::wakes`](crate::Capability)) it looks once a second.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) where the store does not see who waits
    /// ([`Capability::waiters`](crate::Capability)); [`ErrorKind::Lost`](crate::ErrorKind) when the lease is lost
    /// meanwhile; those of the store that outlasted the terms' patience.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn contended(&self) -> Result<Contender> {
        let capability = self.core.store.capability();
        if !capability.waiters {
            return Err(capability
                .lacks("account of those who wait, so a holder cannot be told of them")
                .lock(self.name()));
        }
        let engine = Engine(self.core.clone());
        let mut follow = LockWatcher::new(&engine, self.name(), self.patience);
        let heard = self.lease().run(follow.until(waiting)).await;
        heard.map_err(|lost| Error::from(lost).lock(self.name()).store(self.core.store.url()))?
    }
}

/// The first of those who are kept out.
fn waiting(snapshot: &Snapshot) -> Option<Contender> {
    let holders = snapshot.holders.iter().map(|holder| place(holder, true));
    let waiters = snapshot.waiters.iter().map(|waiter| place(waiter, false));
    let queue: Vec<Place> = holders.chain(waiters).collect();
    let first = kept_out(&queue).first()? - snapshot.holders.len();
    snapshot.waiters.get(first).cloned()
}

/// Whoever does not say how it shares does not share. That waiters let themselves be overtaken changes who is kept out,
/// and not whether somebody is.
fn place(contender: &Contender, holds: bool) -> Place {
    Place { mode: contender.mode.unwrap_or(Mode::Exclusive), queueing: Queueing::Fifo, holds }
}
