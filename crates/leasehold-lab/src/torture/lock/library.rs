//! Through the library.
//!
//! The lanes of those who do not look at deadlines use it too where the store has no protocol of three commands: then
//! they believe what everybody believes who has created a node or a lease, that it is there for ever.

use std::time::Duration;

use leasehold::{Client, Mutex, MutexGuard, store::Outcome};

use super::{Answer, Lock, Standing};
use crate::torture::{failure::Result, lane::Lane};

pub(crate) struct Library {
    client: Client,
    mutex: Mutex,
    held: Option<MutexGuard>,
    lane: Lane,
}

impl Library {
    pub(crate) fn connect(url: &str, lane: Lane) -> Result<Self> {
        let client = Client::blocking_connect(url)?;
        let mutex = client.mutex(lane.name())?;
        Ok(Self { client, mutex, held: None, lane })
    }
}

impl Lock for Library {
    fn acquire(&mut self, wait: Duration) -> Answer {
        match self.mutex.blocking_try_lock_for(wait) {
            Ok(Some(guard)) => {
                let token = guard.lease().fencing_token().filter(|_| self.lane.is_library());
                self.held = Some(guard);
                Answer::Granted(token.map(|token| token.get()))
            }
            Ok(None) => Answer::Busy,
            Err(error) => Answer::Failed { unknown: error.outcome() == Outcome::Unknown },
        }
    }

    fn standing(&self) -> Standing {
        let lease = self.held.as_ref().filter(|_| self.lane.is_library()).map(|guard| guard.lease());
        Standing {
            deadline_us: lease.map(|lease| lease.deadline().nanos() / 1000),
            lost: lease.is_some_and(|lease| lease.check().is_err()),
        }
    }

    fn release(&mut self) -> bool {
        let Some(guard) = self.held.take() else { return false };
        // Whoever holds it now is thrown out: that is what deleting a key by its name does.
        let thrown_out =
            self.lane != Lane::Bare || self.client.blocking_force_release(self.lane.name()).is_ok();
        guard.blocking_release().is_ok() && thrown_out
    }
}
