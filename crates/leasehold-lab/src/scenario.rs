//! [`Scenario`]: a kind of trouble by name, with its faults and its promises.

mod plans;
mod table;

use std::time::Duration;

use crate::{faults::PlannedFault, model::Strategy, rng::Rng};
use plans::{Faults, ms};

pub use table::ALL;

/// A kind of trouble.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Its faults in one sentence.
    pub about: &'static str,
    /// The number of servers; several decide by majority.
    pub(crate) nodes: u32,
    pub(crate) clients: u32,
    /// How often each locks before the last fault is over.
    pub(crate) rounds: u32,
    pub(crate) ttl: Duration,
    /// The shortest and longest usual work under the lock.
    pub(crate) work: (Duration, Duration),
    /// The same for long work.
    pub(crate) long: (Duration, Duration),
    /// The percentage of long work.
    pub(crate) long_percent: u8,
    /// Whether clients drop claims in flight.
    pub(crate) gives_up: bool,
    /// The time limit of a wait for the lock.
    pub(crate) wait: Duration,
    /// The longest wait, where that is promised.
    pub(crate) wait_bound: Option<Duration>,
    /// Whether clocks stay within the allowance, so that leases exclude.
    pub(crate) clocks: bool,
    /// Whether servers keep their data, so that leases exclude.
    pub(crate) memory: bool,
    /// The naive strategy that must fail: two holders at once, lost updates, or too long a wait. `None`: a mutation alone
    /// shows the purpose of the scenario.
    pub control: Option<Strategy>,
    pub(crate) faults: fn(&mut Faults) -> Vec<PlannedFault>,
}

impl Scenario {
    /// The scenario without faults, from which the others differ.
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
    pub(crate) fn faults_of(&self, seed: u64, nodes: u32, clients: u32) -> Vec<PlannedFault> {
        let rng = Rng::new(seed).split(4);
        (self.faults)(&mut Faults { rng, nodes, clients, ttl: self.ttl })
    }

    pub(crate) fn excludes(&self) -> bool {
        self.clocks && self.memory
    }

    /// The time limit for recovery after the last fault.
    pub(crate) fn heals_within(&self, nodes: u32) -> Duration {
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
