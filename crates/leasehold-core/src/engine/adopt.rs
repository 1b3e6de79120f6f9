//! The use of a [`Ticket`]: adopt its hold, or release it.

use super::{Engine, Hold, LockOptions, Ticket, Wait, deadline, hold::Granted};
use crate::{Claim, Error, Intent, Lost, LostReason, Release, Result, Standing};

impl Engine {
    /// Adopts the hold of a ticket: it is bound to this client and renewed again.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the hold has ended; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the hold as it was or bound to this client without a guard; then it ends by its
    /// ttl, or with this client.
    pub async fn adopt(&self, ticket: &Ticket, terms: &LockOptions) -> Result<Hold> {
        self.admits(&ticket.name, ticket.mode, terms)?;
        let alive = Some(self.0.registry.count_claim()?);
        let claim = Claim {
            intent: Intent::Amend,
            id: ticket.id,
            ..self.template(&ticket.name, ticket.mode, terms, Wait::No, ticket.id)
        };
        let sent = self.0.env.now();
        let answer = self.0.store.claim(&claim).await;
        let answer = answer.map_err(|error| self.0.explain(error, "adopt", &ticket.name))?;
        let Standing::Granted(grant) = answer else {
            let reason = if let Standing::Gone(reason) = answer { reason } else { LostReason::Gone };
            return Err(Error::from(Lost { reason, certain: true })
                .verb("adopt")
                .lock(&ticket.name)
                .store(self.0.store.url()));
        };
        let claim = Claim { intent: Intent::Hold, ..claim };
        let deadline = deadline::deadline(&*self.0.store, sent, grant.valid_for);
        Ok(Hold::new(&self.0, Granted { claim, grant, sent, deadline, alive }, terms))
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
        self.0.store.release(&claim).await.map_err(|error| self.0.explain(error, "release", &ticket.name))
    }
}
