//! [`Assumptions`], [`Rule`] and [`Violation`].

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{history::Event, model::name_of, resource::Fence};

/// The assumptions under which a history is judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumptions {
    /// No clock jumped or ran faster or slower than the locks allow for.
    pub clocks: bool,
    /// No server lost acknowledged data.
    pub memory: bool,
    /// Every grant carries a fencing token, and tokens grow: rules 1 and 3 apply.
    pub tokens: bool,
    /// The fence of the resources.
    pub fence: Fence,
    /// The time limit for recovery after the last fault; it covers the longest lease.
    pub heal_bound: Duration,
}

impl Assumptions {
    /// Whether leases exclude.
    pub(crate) fn exclusive(&self) -> bool {
        self.clocks && self.memory
    }
}

impl Default for Assumptions {
    /// The strictest: clocks, memory, tokens, a resource that is claimed, and recovery in ten seconds.
    fn default() -> Self {
        let heal_bound = Duration::from_secs(10);
        Self { clocks: true, memory: true, tokens: true, fence: Fence::ByClaim, heal_bound }
    }
}

/// A rule of the checker, or of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Grants can be laid out one after the other in the order of their tokens.
    Order,
    /// No two hold at one instant.
    Exclusion,
    /// Tokens grow.
    Tokens,
    /// The resource refuses superseded writes and loses none that it acknowledged.
    Resource,
    /// Every request is answered, and a free lock is granted.
    Liveness,
    /// Observed by the simulation, not in a history: no grant is delivered after its deadline.
    LateGrant,
    /// Likewise: nothing is sent under a lease that is over.
    LateAct,
    /// Likewise: no client waits longer than the scenario allows.
    LongWait,
    /// Likewise: a run ends.
    End,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self))
    }
}

/// One breach of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The time in microseconds on the clock of the run.
    pub at_us: u64,
    /// The breach in words.
    pub text: String,
    /// The events that contradict each other.
    pub events: Vec<Event>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} us: {}", self.rule, self.at_us, self.text)
    }
}
