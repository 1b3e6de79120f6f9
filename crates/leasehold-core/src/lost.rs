//! [`Lost`]: why a lease is no longer one.

use std::fmt;

/// Why a lease is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LostReason {
    /// The deadline passed before a renewal was confirmed.
    Expired,
    /// The store has no hold of this claim: it expired there, or was removed.
    Gone,
    /// An operator released it by force.
    ForceReleased,
    /// The session that the hold lived by has ended.
    SessionEnded,
    /// Too few nodes of a quorum still confirm it.
    NoQuorum,
    /// The holder kept it longer than its own `max_hold`.
    MaxHold,
    /// The client was closed while the lease was held.
    Closed,
    /// This process was forked: the lock is its parent's.
    Forked,
    /// Its holder released it or gave it away, and a clone of its lease was left.
    Released,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LostReason::Expired => "its deadline passed without a confirmed renewal",
            LostReason::Gone => "the store no longer has it",
            LostReason::ForceReleased => "it was released by force",
            LostReason::SessionEnded => "the session it lived by has ended",
            LostReason::NoQuorum => "too few nodes still confirm it",
            LostReason::MaxHold => "it was held longer than its max_hold",
            LostReason::Closed => "its client was closed",
            LostReason::Released => "its holder has released it",
            LostReason::Forked => "it belongs to the parent process: connect after the fork",
        })
    }
}

/// The lease is lost: stop the work that it protected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lost {
    /// Why.
    pub reason: LostReason,
    /// `true` when the store said so; `false` when the time ran out before it could be asked.
    pub certain: bool,
}

impl Lost {
    /// The deadline passed; what the store knows is unknown.
    pub(crate) const EXPIRED: Lost = Lost { reason: LostReason::Expired, certain: false };
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lease is lost: {}", self.reason)
    }
}

impl std::error::Error for Lost {}
