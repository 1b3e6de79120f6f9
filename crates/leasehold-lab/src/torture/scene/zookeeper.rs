//! Three ZooKeeper members. A worker that is paused or cut off loses its session.

use std::time::Duration;

use leasehold_testkit::zookeeper::{Ensemble, Server};

use super::{Promise, Scene, machine, url};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

const MEMBERS: usize = 3;

pub(super) struct ZooKeeper {
    network: Network,
    ensemble: Ensemble,
}

impl ZooKeeper {
    pub(super) fn start(places: usize) -> Result<Self> {
        let ensemble = Ensemble::start(MEMBERS)?;
        let addresses: Vec<String> = ensemble.members().iter().map(Server::address).collect();
        Ok(Self { network: Network::to(&addresses, places)?, ensemble })
    }

    /// The leader half of the time; nobody knows who that is during an election.
    fn member(&self, dice: &mut Dice) -> (&Server, String) {
        let (leads, at) = (dice.one_in(2), dice.below(MEMBERS));
        let members = self.ensemble.members();
        let is_leader = |member: &Server| member.mode().as_deref() == Some("leader");
        let leader = leads.then(|| members.iter().position(is_leader)).flatten();
        let at = leader.unwrap_or(at);
        (&members[at], format!("server {at}"))
    }
}

impl Scene for ZooKeeper {
    fn url(&self, place: usize) -> String {
        url("zookeeper", &self.network.addresses(place))
    }

    fn servers(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.network)
    }

    fn promise(&self) -> Promise {
        Promise { clocks: true, memory: true, heal_bound: Duration::from_secs(12) }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        let (pauses, lasts) = (dice.one_in(2), dice.span_ms(300, 3000));
        let (member, target) = self.member(dice);
        Ok(Some(if pauses {
            machine::paused(member, target, lasts)?
        } else {
            machine::killed(member, target, lasts)
        }))
    }

    fn mend(&self) -> Result<()> {
        self.network.heal();
        for member in self.ensemble.members() {
            member.await_serving()?;
        }
        Ok(())
    }
}
