//! [`Ticket`]: the printable proof of a hold, and its use by another process.

use std::{fmt, str::FromStr};

use super::{Engine, Hold, LockOptions, Wait, deadline, hold::Granted};
use crate::{
    Claim, ClaimId, Error, ErrorKind, FencingToken, Intent, LockName, Lost, LostReason, Mode, Release,
    Result, Sequencer, Standing,
};

/// The proof of a hold, with which any process can adopt or release it. Keep it secret.
///
/// Its text form is the claim id followed by the sequencer, `CLAIM@MODE:TOKEN:NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The lock.
    pub name: LockName,
    /// The proof of ownership.
    pub id: ClaimId,
    /// How it is held.
    pub mode: Mode,
    /// The token of the grant.
    pub fence: Option<FencingToken>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("id", &self.id)
            .finish()
    }
}

/// The secret text form, for handing over. [`Debug`](fmt::Debug) shows no secret.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A grant without a token is written with token 0, which no store grants.
        let fence = self.fence.unwrap_or(FencingToken::NONE);
        write!(f, "{}@{}", self.id, Sequencer::new(self.name.clone(), self.mode, fence))
    }
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::new(ErrorKind::Invalid, "this is not a ticket").hint(
                "a ticket is what `leasehold hold` or `detach` printed, CLAIM@leasehold:MODE:TOKEN:NAME",
            )
        };
        let (id, sequencer) = text.split_once('@').ok_or_else(refuse)?;
        let sequencer: Sequencer = sequencer.parse().map_err(|_| refuse())?;
        let fence = Some(sequencer.fencing_token()).filter(|fence| *fence != FencingToken::NONE);
        Ok(Ticket {
            id: id.parse().map_err(|_| refuse())?,
            name: sequencer.name().clone(),
            mode: sequencer.mode(),
            fence,
        })
    }
}

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
