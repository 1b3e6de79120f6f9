//! [`Workload`]: one lock, one resource, and one way to use both.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{model::name_of, resource::Fence};

/// The workloads, which all run in the same processes at the same time.
///
/// [`Workload::Deadline`] alone checks the clock before the write: each of the others stands for a process that was paused
/// after its check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Leasehold, and a resource that is claimed with the fencing token before it is read. Must lose nothing.
    Claimed,
    /// Leasehold's deadline alone, checked before the write, and a resource without tokens.
    Deadline,
    /// Leasehold, and a resource that checks the token on the write alone. Has to lose updates.
    Written,
    /// An owner's id, compared on release; no deadline and no token. Has to lose updates.
    Owner,
    /// Released without a comparison. Has to lose updates.
    Bare,
}

impl Workload {
    pub(crate) fn all() -> impl Iterator<Item = Workload> {
        Workload::value_variants().iter().copied()
    }

    pub(crate) fn name(self) -> String {
        name_of(&self)
    }

    pub(crate) fn fence(self) -> Fence {
        match self {
            Workload::Claimed => Fence::ByClaim,
            Workload::Written => Fence::OnWrite,
            Workload::Deadline | Workload::Owner | Workload::Bare => Fence::None,
        }
    }

    /// Whether it has to lose updates: else the run had no faults that matter.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Workload::Written | Workload::Owner | Workload::Bare)
    }

    /// Whether it uses Leasehold with its deadline, so that all rules about grants apply.
    pub(crate) fn is_leasehold(self) -> bool {
        matches!(self, Workload::Claimed | Workload::Deadline | Workload::Written)
    }
}
