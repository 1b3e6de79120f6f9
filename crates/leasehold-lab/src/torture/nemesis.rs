//! [`Nemesis`]: what goes wrong, as a seed chooses it: one hand for the workers and one for the rest of the world.

mod chronicle;
mod workers;
mod world;

use std::time::Duration;

use crate::torture::{crew::Crew, failure::Result, pace::Pace, resource::Resource, scene::Scene};

pub(crate) use chronicle::Chronicle;

/// A fault that has begun.
pub(crate) struct Strike<'s> {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    pub(crate) lasts: Duration,
    /// Ends it.
    pub(crate) heal: Box<dyn FnOnce() -> Result<()> + Send + 's>,
}

impl Strike<'_> {
    /// One that lasts no time.
    pub(crate) fn at_once(name: &'static str, target: String) -> Self {
        Strike { name, target, lasts: Duration::ZERO, heal: Box::new(|| Ok(())) }
    }
}

/// What it strikes, and what it is struck from.
pub(crate) struct Nemesis<'r> {
    pub(crate) crew: &'r Crew<'r>,
    pub(crate) resource: &'r Resource,
    pub(crate) scene: &'r dyn Scene,
    pub(crate) chronicle: &'r Chronicle,
    /// Over: what has begun is brought to its end, and nothing begins.
    pub(crate) pace: &'r Pace,
    pub(crate) seed: u64,
}
