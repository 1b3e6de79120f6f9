//! [`play`]: one run, from its seed to its verdict.

use std::time::Duration;

use leasehold_core::Mechanism;

use crate::{
    check::{Assumptions, Fenced, Figures, Violation, check},
    client::{Contestant, RESOURCE},
    history::{Event, What},
    plan::{self, Fault},
    resource::Fence,
    scenario::Scenario,
    stage::{Breach, Cast, Stage},
};

/// No run lasts longer.
const AGE_MAX: Duration = Duration::from_secs(600);

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened, in order.
    pub history: Vec<Event>,
    /// The same in numbers.
    pub figures: Figures,
    /// Which rules the history breaks.
    pub broken: Vec<Violation>,
    /// Which promises were broken in the sight of the simulation.
    pub breaches: Vec<Breach>,
    /// How many polls it took.
    pub polls: u64,
}

impl Run {
    /// Whether all rules were kept.
    pub fn is_good(&self) -> bool {
        self.broken.is_empty() && self.breaches.is_empty()
    }

    /// What went wrong first, in one line.
    pub fn complaint(&self) -> Option<String> {
        let breach = self.breaches.first().map(|breach| format!("{}: {}", breach.rule, breach.text));
        self.broken.first().map(Violation::to_string).or(breach)
    }

    /// Which rules were broken, each once.
    pub fn rules(&self) -> Vec<String> {
        let mut rules: Vec<String> = self.broken.iter().map(|violation| violation.rule.to_string()).collect();
        rules.extend(self.breaches.iter().map(|breach| breach.rule.to_string()));
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

impl Cast {
    /// A scenario as it is meant to be played: by Leasehold, with a resource that is claimed.
    pub fn of(scenario: &'static Scenario, seed: u64) -> Cast {
        let contestant =
            if seed.is_multiple_of(2) { Contestant::Leasehold } else { Contestant::LeaseholdGuard };
        Cast::with(scenario, seed, contestant, Fence::ByClaim)
    }

    /// A scenario with other players.
    pub fn with(scenario: &'static Scenario, seed: u64, contestant: Contestant, fence: Fence) -> Cast {
        Cast::on(scenario, seed, contestant, fence, scenario.nodes)
    }

    /// A scenario with other players, on other servers.
    pub fn on(
        scenario: &'static Scenario,
        seed: u64,
        contestant: Contestant,
        fence: Fence,
        nodes: u32,
    ) -> Cast {
        Cast {
            scenario,
            seed,
            contestant,
            fence,
            nodes,
            clients: scenario.clients,
            rounds: scenario.rounds,
            faults: scenario.faults_of(seed, nodes, scenario.clients),
            without: Vec::new(),
        }
    }

    /// The same in a world without a mechanism.
    #[must_use]
    pub fn without(mut self, mechanism: Mechanism) -> Cast {
        self.without.push(mechanism);
        if mechanism == Mechanism::ClaimStep {
            self.fence = Fence::OnWrite;
        }
        self
    }

    /// The command that plays it again.
    pub fn command(&self) -> String {
        let (scenario, seed) = (self.scenario, self.seed);
        let usual = Cast::of(scenario, seed);
        let mut command = format!("cargo lab simulate --scenario {} --seed {seed}", scenario.name);
        if self.contestant != usual.contestant {
            command += &format!(" --contestant {}", self.contestant);
        }
        if self.fence != usual.fence && !self.without.contains(&Mechanism::ClaimStep) {
            command += &format!(" --fence {}", self.fence);
        }
        if self.nodes != usual.nodes {
            command += &format!(" --nodes {}", self.nodes);
        }
        if self.clients != usual.clients {
            command += &format!(" --clients {}", self.clients);
        }
        if self.rounds != usual.rounds {
            command += &format!(" --rounds {}", self.rounds);
        }
        if self.faults != self.scenario.faults_of(seed, self.nodes, self.clients) {
            command += &format!(" --faults \"{}\"", plan::join(&self.faults));
        }
        command
    }

    fn assumptions(&self) -> Assumptions {
        let fenced = match self.fence {
            Fence::None => Fenced::No,
            // Less was promised than a claim: or a mechanism is missing, and what is missed is to show.
            Fence::OnWrite if !self.without.contains(&Mechanism::ClaimStep) => Fenced::OnWrite,
            Fence::OnWrite | Fence::ByClaim => Fenced::ByClaim,
        };
        Assumptions {
            clocks: self.scenario.clocks,
            memory: self.scenario.memory,
            tokens: self.contestant.is_ours(),
            fenced,
            heal_bound: self.scenario.heals_within(self.nodes),
        }
    }
}

/// The smallest cast that still fails as this one does: fewer and shorter faults, fewer rounds. Clients stay: who they are
/// decides what they do. The cast itself, if it does not fail.
pub fn smallest(cast: &Cast) -> Cast {
    let fails = |cast: &Cast| !play(cast.clone()).is_good();
    let mut small = cast.clone();
    if !fails(&small) {
        return small;
    }
    let with = |faults: &[Fault], cast: &Cast| Cast { faults: faults.to_vec(), ..cast.clone() };
    small.faults = plan::shrink(&small.faults, |faults| fails(&with(faults, cast)));
    while small.rounds > 0 {
        let less = Cast { rounds: small.rounds - 1, ..small.clone() };
        if !fails(&less) {
            break;
        }
        small = less;
    }
    let last = small.clone();
    small.faults = plan::shrink(&small.faults, |faults| fails(&with(faults, &last)));
    small
}

/// Plays a cast to its end, and judges it.
pub fn play(cast: Cast) -> Run {
    let assumptions = cast.assumptions();
    let ours = cast.contestant.is_ours();
    let stage = Stage::new(cast);
    stage.world.run(AGE_MAX, || stage.is_over());
    if !stage.is_over() && ours {
        stage.breach("the end", format!("clients are still at work after {:?}", stage.world.age()));
    }
    let value = stage.resource.value();
    stage.world.record(0, What::Final { resource: RESOURCE.to_string(), value });
    let (history, breaches, polls) = (stage.world.history(), stage.breaches(), stage.world.polls());
    stage.world.end();
    let report = check(&history, &assumptions);
    Run { figures: report.figures, broken: report.broken, history, breaches, polls }
}
