//! Three etcd members.

use std::time::Duration;

use leasehold_testkit::etcd::{Cluster, Member};

use super::{Promise, Scene, machine, url};
use crate::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

const MEMBERS: usize = 3;

pub(super) struct Etcd {
    network: Network,
    cluster: Cluster,
}

impl Etcd {
    pub(super) fn start(places: usize) -> Result<Self> {
        let cluster = Cluster::start()?;
        let addresses: Vec<String> = cluster.members().map(Member::address).collect();
        Ok(Self { network: Network::to(&addresses, places)?, cluster })
    }

    /// The leader half of the time; nobody knows who that is during an election.
    fn member(&self, dice: &mut Dice) -> (&Member, String) {
        let (leads, at) = (dice.one_in(2), dice.below(MEMBERS));
        let is_leader = |member: &Member| member.metric("etcd_server_is_leader") == Some(1);
        let leader = leads.then(|| self.cluster.members().position(is_leader)).flatten();
        let at = leader.unwrap_or(at);
        (self.cluster.member(at), format!("server {at}"))
    }
}

impl Scene for Etcd {
    fn url(&self, place: usize) -> String {
        url("etcd", &self.network.addresses(place))
    }

    fn servers(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.network)
    }

    fn promise(&self) -> Promise {
        Promise { clocks: true, memory: true, fencing: true, heal_bound: Duration::from_secs(12) }
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
        Ok(self.cluster.leader().map(|_| ())?)
    }
}
