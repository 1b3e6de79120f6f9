//! [`Scenario`]: one kind of trouble, by name: what goes wrong, what holds all the same, and who must fail of it.

mod plans;
mod table;

use std::time::Duration;

use crate::{faults::PlannedFault, model::Strategy, rng::Rng};
use plans::ms;

pub use plans::Faults;
pub use table::ALL;

/// One kind of trouble.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Its faults in one sentence.
    pub about: &'static str,
    /// How many servers; of more than one, a majority decides.
    pub nodes: u32,
    /// How many clients.
    pub clients: u32,
    /// How often each asks before the last fault is over.
    pub rounds: u32,
    /// The time to live of locks.
    pub ttl: Duration,
    /// How long clients work under the lock, from and to.
    pub work: (Duration, Duration),
    /// How long they work when they work long.
    pub long: (Duration, Duration),
    /// How often of a hundred that is.
    pub long_percent: u8,
    /// Whether clients drop their claims in the middle.
    pub gives_up: bool,
    /// How long they wait for the lock.
    pub wait: Duration,
    /// How long they wait at most, where that is promised.
    pub wait_bound: Option<Duration>,
    /// Whether clocks stay within the allowance, so that leases exclude.
    pub clocks: bool,
    /// Whether servers forget nothing that counts, so that leases exclude.
    pub memory: bool,
    /// The naive strategy that must fail in it: two holders at once, lost updates, or too long a wait. `None`: a mutation
    /// alone shows its purpose.
    pub control: Option<Strategy>,
    /// The choice of its faults.
    pub faults: fn(&mut Faults) -> Vec<PlannedFault>,
}

impl Scenario {
    /// A scenario on one server in which everything is fine; the others differ from it.
    pub(crate) const CALM: Scenario = Scenario {
        name: "calm",
        about: "nothing goes wrong",
        nodes: 1,
        clients: 3,
        rounds: 4,
        ttl: ms(1000),
        work: (ms(2), ms(40)),
        long: (ms(700), ms(2600)),
        long_percent: 0,
        gives_up: false,
        wait: ms(20_000),
        wait_bound: Some(ms(1000)),
        clocks: true,
        memory: true,
        control: None,
        faults: |_| Vec::new(),
    };

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        ALL.iter().find(|scenario| scenario.name == name)
    }

    /// The faults of a seed.
    pub fn faults_of(&self, seed: u64, nodes: u32, clients: u32) -> Vec<PlannedFault> {
        let rng = Rng::new(seed).split(4);
        (self.faults)(&mut Faults { rng, nodes, clients, ttl: self.ttl })
    }

    /// Whether leases exclude in it.
    pub fn excludes(&self) -> bool {
        self.clocks && self.memory
    }

    /// After the last fault, everything is well so soon.
    pub fn heals_within(&self, nodes: u32) -> Duration {
        // A member that has forgotten gets its vote back after ten seconds; a store that fails is asked for a second.
        let voting = if nodes > 1 { ms(12_000) } else { Duration::ZERO };
        self.ttl * 2 + self.long.1 * self.clients * u32::from(self.long_percent > 0) + voting + ms(4000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_are_found() {
        for (at, scenario) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
            assert!(std::ptr::eq(Scenario::named(scenario.name).unwrap(), scenario));
        }
        assert!(Scenario::named("none").is_none());
    }

    #[test]
    fn one_seed_has_one_plan_and_its_targets_exist() {
        for scenario in &ALL {
            for seed in 0..50 {
                let faults = scenario.faults_of(seed, scenario.nodes, scenario.clients);
                assert_eq!(faults, scenario.faults_of(seed, scenario.nodes, scenario.clients));
                for fault in faults {
                    let exists = fault.target.exists(scenario.nodes, scenario.clients);
                    assert!(exists, "{} {seed}: {fault}", scenario.name);
                }
            }
        }
    }
}
