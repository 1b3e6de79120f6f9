//! The use of a [`Ticket`]: adopt its hold, or release it.

use std::sync::Arc;

use super::{Engine, Hold, LockOptions, Ticket, Wait, attempt::Attempt, hold::Granted};
use crate::{Claim, Error, Intent, Lost, LostReason, Queueing, Release, Result, Standing};

impl Engine {
    /// Adopts the hold of a ticket: it is bound to this client and renewed again.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind) when the hold has ended; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the hold as it was or bound to this client without a guard; then it ends by its
    /// ttl, or with this client.
    pub async fn adopt(&self, ticket: &Ticket, options: &LockOptions) -> Result<Hold> {
        let core = &self.0;
        let claim = self.claim(&ticket.name, ticket.mode, options, Wait::Forever, ticket.id)?;
        let mut attempt = Attempt::new(core, Arc::new(Claim { queueing: Queueing::No, ..claim }))?;
        let amend = Claim { intent: Intent::Amend, ..(*attempt.claim).clone() };
        let sent = core.env.now();
        let answer = core.explain(core.store.claim(&amend).await, "adopt", &ticket.name)?;
        let Standing::Granted(grant) = answer else {
            let reason = if let Standing::Gone(reason) = answer { reason } else { LostReason::Gone };
            return Err(core.explain(Error::from(Lost { reason, certain: true }), "adopt", &ticket.name));
        };
        attempt.adopted();
        let deadline = core.deadline(sent, grant.valid_for);
        let granted = Granted { fence: grant.fence, sent, at: core.env.now(), deadline };
        Ok(Hold::new(attempt, granted, options).traced())
    }

    /// Releases the hold of a ticket.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it released or not; repeating is harmless.
    pub async fn release_ticket(&self, ticket: &Ticket) -> Result<Release> {
        let ttl = self.0.store.capability().ttl_max;
        let claim = Claim { mode: ticket.mode, ..Claim::new(ticket.name.clone(), ticket.id, ttl) };
        self.0.explain(self.0.request(self.0.store.release(&claim)).await, "release", &ticket.name)
    }
}
