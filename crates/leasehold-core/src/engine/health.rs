//! [`SessionState`]: the health of a client, computed from its leases.

use std::{collections::HashSet, fmt};

use crate::ClaimId;

/// How a client stands with its store: as the worst of its leases does (Burrows, "The Chubby lock service", 2006,
/// section 2.8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SessionState {
    /// All leases are renewed in time. Also that of a client that holds nothing: it has nothing to lose.
    #[default]
    Safe,
    /// Everything held is still valid, but a renewal is overdue: begin nothing new, and be ready to stop. It becomes
    /// [`SessionState::Safe`] again when the store answers, or [`SessionState::Expired`] at a deadline.
    Jeopardy,
    /// A lease was lost, or the client is closed. It is [`SessionState::Safe`] again when the guards of all that was
    /// lost have been dropped, and the store has granted or renewed something since.
    Expired,
}

/// `safe`, `jeopardy` or `expired`.
impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionState::Safe => "safe",
            SessionState::Jeopardy => "jeopardy",
            SessionState::Expired => "expired",
        })
    }
}

/// The health of a client at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct HealthSnapshot {
    pub(super) state: SessionState,
    /// The number of leases lost so far.
    pub(super) losses: u64,
}

/// Counts over all leases of a client.
#[derive(Default)]
pub(super) struct LeaseTotals {
    /// The number of leases in jeopardy.
    pub(super) in_jeopardy: usize,
    /// The lost leases whose guards still exist: work under them may go on.
    lost: HashSet<ClaimId>,
    losses: u64,
    /// Set by a loss until the store confirms a lease again.
    is_unproven: bool,
}

impl LeaseTotals {
    /// Counts a lease that ended without a release; once for each id.
    pub(super) fn lose(&mut self, id: ClaimId) {
        if self.lost.insert(id) {
            self.losses += 1;
            self.is_unproven = true;
        }
    }

    /// Removes a lease whose guard was dropped.
    pub(super) fn forget(&mut self, id: ClaimId) {
        if !self.lost.is_empty() {
            self.lost.remove(&id);
        }
    }

    /// Records that the store has granted or renewed a lease.
    pub(super) fn confirm(&mut self) {
        self.is_unproven = false;
    }

    pub(super) fn snapshot(&self, is_open: bool) -> HealthSnapshot {
        let state = if !is_open || self.is_unproven || !self.lost.is_empty() {
            SessionState::Expired
        } else if self.in_jeopardy > 0 {
            SessionState::Jeopardy
        } else {
            SessionState::Safe
        };
        HealthSnapshot { state, losses: self.losses }
    }
}
