//! [`Figures`]: counts of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{exclusion::Overlaps, resource::Ledgers};
use crate::history::{Event, EventKind};

/// Counts of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Granted claims.
    pub grants: u64,
    /// Claims of a busy lock.
    pub refusals: u64,
    /// Claims that failed.
    pub failures: u64,
    /// Failures after which the claim may have taken effect.
    pub unknown: u64,
    /// Holders that were told of the loss.
    pub losses: u64,
    /// Holds that began during another hold.
    pub double_holds: u64,
    /// The time for which two held, in microseconds.
    pub double_held_us: u64,
    /// Acknowledged writes.
    pub writes: u64,
    /// Writes refused because of a higher token.
    pub writes_refused: u64,
    /// First accesses refused for the same reason.
    pub reads_refused: u64,
    /// Acknowledged writes that are not in the result; a lower bound.
    pub updates_lost: u64,
    /// Killed processes.
    pub gone: u64,
    /// Faults that the nemesis began.
    pub faults: u64,
    /// The same by name.
    pub faults_by_name: BTreeMap<String, u64>,
}

impl Figures {
    pub(super) fn of(events: &[Event], overlaps: &Overlaps, ledgers: &Ledgers<'_>) -> Self {
        let mut figures = Self {
            double_holds: overlaps.each.len() as u64,
            double_held_us: overlaps.total_us,
            updates_lost: ledgers.updates_lost(),
            ..Self::default()
        };
        for event in events {
            figures.take(&event.kind);
        }
        figures
    }

    fn take(&mut self, what: &EventKind) {
        let count = match what {
            EventKind::Grant { .. } => &mut self.grants,
            EventKind::Busy { .. } => &mut self.refusals,
            EventKind::Fail { unknown, .. } => {
                self.unknown += u64::from(*unknown);
                &mut self.failures
            }
            EventKind::Lost { .. } => &mut self.losses,
            EventKind::Read { value: None, .. } => &mut self.reads_refused,
            EventKind::Write { accepted: Some(true), .. } => &mut self.writes,
            EventKind::Write { accepted: Some(false), .. } => &mut self.writes_refused,
            EventKind::Gone => &mut self.gone,
            EventKind::PlannedFault { name, ended: false, .. } => {
                *self.faults_by_name.entry(name.clone()).or_default() += 1;
                &mut self.faults
            }
            _ => return,
        };
        *count += 1;
    }
}
