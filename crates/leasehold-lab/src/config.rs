//! [`RunConfig`]: everything that decides a simulated run.

use crate::{
    checker::Assumptions,
    faults::{self, PlannedFault},
    model::Strategy,
    resource::Fence,
    scenario::Scenario,
};

/// The configuration of a run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The faults and the conditions under which they occur.
    pub scenario: &'static Scenario,
    /// The seed of all random choices.
    pub seed: u64,
    /// The clients' way to lock.
    pub strategy: Strategy,
    /// The fence of the resource.
    pub fence: Fence,
    /// The number of servers; several decide by majority.
    pub nodes: u32,
    /// The number of clients.
    pub clients: u32,
    /// How often each client locks before the last fault is over; it locks once more after that.
    pub rounds: u32,
    /// The faults.
    pub faults: Vec<PlannedFault>,
}

impl RunConfig {
    /// The default for a scenario: Leasehold with a resource that is claimed.
    pub fn of(scenario: &'static Scenario, seed: u64) -> RunConfig {
        let even = seed.is_multiple_of(2);
        let strategy = if even { Strategy::Leasehold } else { Strategy::LeaseholdGuard };
        RunConfig::with(scenario, seed, strategy, Fence::ByClaim)
    }

    /// A scenario with another strategy and fence.
    pub fn with(scenario: &'static Scenario, seed: u64, strategy: Strategy, fence: Fence) -> RunConfig {
        RunConfig {
            scenario,
            seed,
            strategy,
            fence,
            nodes: scenario.nodes,
            clients: scenario.clients,
            rounds: scenario.rounds,
            faults: scenario.faults_of(seed, scenario.nodes, scenario.clients),
        }
    }

    /// The command that repeats the run.
    pub fn command(&self) -> String {
        let (scenario, seed) = (self.scenario, self.seed);
        let usual = RunConfig::of(scenario, seed);
        let mut command = format!("cargo lab simulate --scenario {} --seed {seed}", scenario.name);
        let mut option = |differs: bool, name: &str, value: String| {
            if differs {
                command += &format!(" --{name} {value}");
            }
        };
        option(self.strategy != usual.strategy, "contestant", self.strategy.to_string());
        option(self.fence != usual.fence, "fence", self.fence.to_string());
        option(self.nodes != usual.nodes, "nodes", self.nodes.to_string());
        option(self.clients != usual.clients, "clients", self.clients.to_string());
        option(self.rounds != usual.rounds, "rounds", self.rounds.to_string());
        let chosen = scenario.faults_of(seed, self.nodes, self.clients);
        option(self.faults != chosen, "faults", format!("\"{}\"", faults::join(&self.faults)));
        command
    }

    /// The assumptions under which the checker judges the run.
    pub(crate) fn assumptions(&self) -> Assumptions {
        Assumptions {
            clocks: self.scenario.clocks,
            memory: self.scenario.memory,
            tokens: self.strategy.is_leasehold(),
            fence: self.fence,
            heal_bound: self.scenario.heals_within(self.nodes),
        }
    }
}
