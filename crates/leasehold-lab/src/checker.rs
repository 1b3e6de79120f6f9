//! The checker: five rules for histories, and counts of their events.
//!
//! Fencing tokens give the order of the grants of one lock. So one pass after sorting, O(n log n), replaces the search for
//! an order that explains the history, which checkers without tokens (Jepsen's Knossos, Porcupine) need.
//!
//! 1. [`Rule::Order`]: the grants of a lock in the order of their tokens fit one after the other, each between its request
//!    and its answer, and none before the end of an earlier hold.
//! 2. [`Rule::Exclusion`]: two holders at one instant are readers of one lock.
//! 3. [`Rule::Tokens`]: a request sent after another was answered gets a higher token, and keeps it.
//! 4. [`Rule::Resource`]: a resource that has seen a token accepts nothing of a lower one, and loses no acknowledged write.
//! 5. [`Rule::Liveness`]: after the last fault every request is answered, and a free lock is granted.
//!
//! Rules 1 and 2 depend on [`Assumptions`]. Without them a lease alone cannot exclude: a breach is counted in [`Figures`]
//! and is no violation.

mod attempts;
mod exclusion;
mod figures;
mod liveness;
mod order;
mod resource;
mod rules;
mod tokens;

use attempts::Attempts;
use serde::{Deserialize, Serialize};

pub use figures::Figures;
pub use rules::{Assumptions, Rule, Violation};

use crate::history::Event;

/// The verdict on a history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Counts of the events.
    pub figures: Figures,
    /// All violations in the order of the clock.
    pub broken: Vec<Violation>,
}

impl Report {
    /// Whether all rules were kept.
    pub fn is_good(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Judges a history, in the order in which [`history::read`](crate::history::read) answers it.
///
/// A resource is a counter that begins at 0, is guarded by one lock, and is only set to one more than was read. Never
/// panics.
pub fn check(events: &[Event], assumptions: &Assumptions) -> Report {
    let attempts = Attempts::of(events);
    let mut broken = attempts.malformed.clone();
    let overlaps = exclusion::overlaps(&attempts);
    if assumptions.exclusive() {
        broken.extend(overlaps.each.iter().cloned());
    }
    if assumptions.tokens {
        broken.extend(order::check(&attempts, assumptions));
        broken.extend(tokens::check(&attempts));
    }
    let ledgers = resource::Ledgers::of(&attempts);
    broken.extend(ledgers.check(&attempts, assumptions.fence));
    broken.extend(liveness::check(&attempts, assumptions.heal_bound));
    broken.sort_by_key(|violation| violation.at_us);
    Report { figures: Figures::of(events, &overlaps, &ledgers), broken }
}
