//! [`Entry`]: one claim, as the store has it.

use std::{sync::Arc, time::Duration};

use crate::{ClaimId, Contender, FencingToken, Mode, Moment, Queueing, Stance, decide::grant::QueueEntry};

/// The state of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It has a place in the queue.
    Waiting,
    /// It holds the lock.
    Held,
    /// It ended without a release; its lock-delay keeps the lock shut.
    Delaying,
    /// It was released by force. It keeps no claim out; its holder gets the reason from it.
    Revoked,
}

/// One claim as the store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The order of arrival, unique within the document.
    pub seq: u64,
    /// Whose it is.
    pub id: ClaimId,
    /// Its state.
    pub state: State,
    /// How it shares.
    pub mode: Mode,
    /// Whether it lets itself be overtaken.
    pub queueing: Queueing,
    /// When it ends without news, on the store's clock.
    pub expires: Moment,
    /// Since when it is in this state, on the store's clock.
    pub since: Moment,
    /// How long the lock stays shut after an unclean end.
    pub lock_delay: Duration,
    /// The session whose end ends it; `None` when only time does.
    pub session: Option<u64>,
    /// The token of its grant.
    pub fence: Option<FencingToken>,
    /// For people.
    pub note: Option<Arc<str>>,
}

impl Entry {
    /// Whether it keeps others out.
    pub fn holds(&self) -> bool {
        matches!(self.state, State::Held | State::Delaying)
    }

    /// As the grant rule sees it.
    pub fn queue_entry(&self) -> QueueEntry {
        QueueEntry { mode: self.mode, queueing: self.queueing, holds: self.holds() }
    }

    /// As `inspect` shows it at `now`.
    pub fn contender(&self, now: Moment) -> Contender {
        let stance = match self.state {
            State::Waiting => Stance::Waiting,
            State::Held | State::Revoked => Stance::Holding,
            State::Delaying => Stance::Delaying,
        };
        Contender {
            tag: Contender::tag_of(self.id),
            stance,
            mode: Some(self.mode),
            expires_in: Some(self.expires.since(now)),
            age: Some(now.since(self.since)),
            fence: self.fence,
            note: self.note.clone(),
        }
    }
}
