//! The checker: five rules for histories, and counts of their events.
//!
//! Fencing tokens give the order of the grants of one lock, so what needs a search without them (whether there is an
//! order in which all of it could have happened one after the other, as Jepsen's Knossos and Porcupine look for) takes
//! one pass here, after sorting: O(n log n) in the number of events. The rules and their reasons:
//!
//! 1. [`Rule::Order`]: the grants of a lock, in the order of their tokens, can be laid out one after the other, each
//!    between its question and its answer, and none before an earlier hold was given back or had run out.
//! 2. [`Rule::Exclusion`]: no two take themselves to hold at one instant, readers of one lock excepted.
//! 3. [`Rule::Tokens`]: a request sent after another was answered gets a higher token, and keeps it.
//! 4. [`Rule::Resource`]: a resource that has seen a token accepts nothing of a lower one, and loses no write that it
//!    acknowledged.
//! 5. [`Rule::Liveness`]: once the last fault is over everybody is answered, and a free lock is granted.
//!
//! Rules 1 and 2 hold as far as [`Assumptions`] do. Where they do not, what breaks them is counted in [`Figures`] and is
//! no violation: a lease alone cannot exclude then, and rules 3 and 4 are what is promised.

mod attempts;
mod exclusion;
mod figures;
mod liveness;
mod order;
mod report;
mod resource;
mod tokens;

use std::time::Duration;

use attempts::Attempts;

pub use figures::Figures;
pub use report::{Report, Rule, Violation};

use crate::{history::Event, resource::Fence};

/// The assumptions under which a history is judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumptions {
    /// No clock went faster or slower than the locks allow for, and none jumped.
    pub clocks: bool,
    /// No server lost what it had acknowledged.
    pub memory: bool,
    /// Every grant carries a fencing token, and they grow. Rules 1 and 3 are about nothing else.
    pub tokens: bool,
    /// The fence of the resources.
    pub fence: Fence,
    /// How long after the last fault everything is well again, at the latest: somebody is answered, and what nobody
    /// holds is granted. It covers the longest lease.
    pub heal_bound: Duration,
}

impl Assumptions {
    /// Leases exclude: all rules are rules.
    pub(crate) fn exclusive(&self) -> bool {
        self.clocks && self.memory
    }
}

impl Default for Assumptions {
    /// All is promised: clocks, memory, tokens and a resource that is claimed; well again in ten seconds.
    fn default() -> Self {
        let heal_bound = Duration::from_secs(10);
        Self { clocks: true, memory: true, tokens: true, fence: Fence::ByClaim, heal_bound }
    }
}

/// Judges a history, in the order in which [`history::read`](crate::history::read) answers it.
///
/// A resource is a counter that begins at 0, is guarded by one lock, and is only ever set to one more than was read.
/// Never panics, whatever the events say.
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
