//! Leasehold.
//!
//! The naive workloads use it too where the store has no protocol of three commands: they ignore the lease then, as a
//! client does that believes in a node or a lease once it has created it.

use std::time::Duration;

use anyhow::Result;
use leasehold::{Client, Mutex, MutexGuard, store::Outcome};

use super::{Acquired, HoldState, Lock};
use crate::real_world::workload::Workload;

pub(super) struct Library {
    client: Client,
    mutex: Mutex,
    held: Option<MutexGuard>,
    workload: Workload,
}

impl Library {
    pub(super) fn connect(url: &str, workload: Workload) -> Result<Self> {
        let client = Client::blocking_connect(url)?;
        let mutex = client.mutex(workload.name())?;
        Ok(Self { client, mutex, held: None, workload })
    }
}

impl Lock for Library {
    fn acquire(&mut self, wait: Duration) -> Acquired {
        match self.mutex.blocking_try_lock_for(wait) {
            Ok(Some(guard)) => {
                let token = guard.lease().fencing_token().filter(|_| self.workload.is_leasehold());
                self.held = Some(guard);
                Acquired::Granted(token.map(|token| token.get()))
            }
            Ok(None) => Acquired::Busy,
            Err(error) => Acquired::Failed { unknown: error.outcome() == Outcome::Unknown },
        }
    }

    fn hold(&self) -> HoldState {
        let lease = self.held.as_ref().filter(|_| self.workload.is_leasehold()).map(|guard| guard.lease());
        HoldState {
            deadline_us: lease.map(|lease| lease.deadline().nanos() / 1000),
            lost: lease.is_some_and(|lease| lease.check().is_err()),
        }
    }

    fn release(&mut self) -> bool {
        let Some(guard) = self.held.take() else { return false };
        // The present holder loses the lock, as it does when a key is deleted by its name.
        let deleted = self.workload != Workload::Bare
            || self.client.blocking_force_release(self.workload.name()).is_ok();
        guard.blocking_release().is_ok() && deleted
    }
}
