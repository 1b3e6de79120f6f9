//! [`Report`]: the verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Figures;
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

/// One of the rules of [`check`](super::check()).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Grants can be laid out one after the other in the order of their tokens.
    Order,
    /// No two take themselves to hold.
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
        f.write_str(match self {
            Rule::Order => "order",
            Rule::Exclusion => "exclusion",
            Rule::Tokens => "tokens",
            Rule::Resource => "resource",
            Rule::Liveness => "liveness",
            Rule::LateGrant => "late grant",
            Rule::LateAct => "late act",
            Rule::LongWait => "long wait",
            Rule::End => "the end",
        })
    }
}

/// One breach of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When it showed, in microseconds on the clock of the run.
    pub at_us: u64,
    /// A sentence.
    pub text: String,
    /// The events that contradict each other.
    pub events: Vec<Event>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} us: {}", self.rule, self.at_us, self.text)
    }
}
