//! [`play`]: a simulated run from its configuration to the verdict of the checker.

use std::time::Duration;

use crate::{
    checker::{Figures, Rule, Violation, check},
    config::RunConfig,
    faults::{self, PlannedFault},
    harness,
    history::{Event, EventKind},
    model::RESOURCE,
};

/// The time limit of a run, in virtual time.
const AGE_MAX: Duration = Duration::from_secs(600);

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// All events in order.
    pub history: Vec<Event>,
    /// Counts of the events.
    pub figures: Figures,
    /// Violations found by the checker, then those observed by the harness.
    pub broken: Vec<Violation>,
}

impl Run {
    /// Whether no rule was broken.
    pub fn is_good(&self) -> bool {
        self.broken.is_empty()
    }

    /// The first violation in one line.
    pub fn complaint(&self) -> Option<String> {
        self.broken.first().map(Violation::to_string)
    }
}

/// The smallest configuration that still fails as this one does: fewer and shorter faults, fewer rounds. The number of
/// clients stays, because it decides all random choices. A configuration that does not fail is returned unchanged.
pub fn smallest(config: &RunConfig) -> RunConfig {
    let fails = |config: &RunConfig| !play(config.clone()).is_good();
    let mut small = config.clone();
    if !fails(&small) {
        return small;
    }
    let with =
        |faults: &[PlannedFault], config: &RunConfig| RunConfig { faults: faults.to_vec(), ..config.clone() };
    small.faults = faults::shrink(&small.faults, |faults| fails(&with(faults, config)));
    while small.rounds > 0 {
        let less = RunConfig { rounds: small.rounds - 1, ..small.clone() };
        if !fails(&less) {
            break;
        }
        small = less;
    }
    let last = small.clone();
    small.faults = faults::shrink(&small.faults, |faults| fails(&with(faults, &last)));
    small
}

/// Plays a run to its end and judges it.
pub fn play(config: RunConfig) -> Run {
    let (assumptions, is_leasehold) = (config.assumptions(), config.strategy.is_leasehold());
    let simulation = harness::start(config);
    let world = simulation.world.clone();
    world.run(AGE_MAX, || simulation.is_over());
    if !simulation.is_over() && is_leasehold {
        simulation.violation(Rule::End, format!("clients are still at work after {:?}", world.age()));
    }
    world.record(0, EventKind::Final { resource: RESOURCE.to_string(), value: simulation.resource.value() });
    let (history, observed) = (world.history(), simulation.violations());
    world.end();
    let report = check(&history, &assumptions);
    let broken = report.broken.into_iter().chain(observed).collect();
    Run { figures: report.figures, broken, history }
}
