//! [`Lane`]: one lock, one resource, and one way of using both.

use crate::check::Fenced;
use serde::{Deserialize, Serialize};

/// The ways, all of which run in the same processes at the same time.
///
/// Nobody but [`Lane::Deadline`] looks at the clock before the write: each of the others stands for the process that
/// looked, and was paused after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lane {
    /// The library, and a resource that is claimed with the fencing token before it is read. Nothing may be lost.
    Claimed,
    /// The library's deadline alone: looked at before the write, and a resource that does not know of tokens.
    Deadline,
    /// The library, and a resource that looks at the token on the write alone. Has to lose updates.
    Written,
    /// An owner's id, checked on release; no deadline and no token. Has to lose updates.
    Owner,
    /// Released without a look at whose it is. Has to lose updates.
    Bare,
}

impl Lane {
    pub(crate) const ALL: [Lane; 5] = [Lane::Claimed, Lane::Deadline, Lane::Written, Lane::Owner, Lane::Bare];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Lane::Claimed => "claimed",
            Lane::Deadline => "deadline",
            Lane::Written => "written",
            Lane::Owner => "owner",
            Lane::Bare => "bare",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.name() == name)
    }

    /// What the resource looks at.
    pub(crate) fn fenced(self) -> Fenced {
        match self {
            Lane::Claimed => Fenced::ByClaim,
            Lane::Written => Fenced::OnWrite,
            Lane::Deadline | Lane::Owner | Lane::Bare => Fenced::No,
        }
    }

    /// Needs grants with tokens.
    pub(crate) fn needs_tokens(self) -> bool {
        self.fenced() != Fenced::No
    }

    /// Has to lose updates: else the faults of the run were none.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Lane::Written | Lane::Owner | Lane::Bare)
    }

    /// The lock is the library's with all that it says of itself, so all rules about grants are rules.
    pub(crate) fn is_library(self) -> bool {
        matches!(self, Lane::Claimed | Lane::Deadline | Lane::Written)
    }
}
