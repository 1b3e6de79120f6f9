//! [`Ticket`]: the printable proof of a hold, and its use by another process.

use std::{fmt, str::FromStr};

use crate::{ClaimId, Error, ErrorKind, FencingToken, LockName, Mode, Result, Sequencer};

/// The proof of a hold, with which any process can adopt or release it. Keep it secret.
///
/// Its text form is the claim id followed by the sequencer, `CLAIM@MODE:TOKEN:NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
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

/// The secret text form, for handing over. [`Debug`](fmt::Debug) shows the id shortened.
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
