//! Three etcd members.

use std::time::Duration;

use leasehold_testkit::etcd::{Cluster, Member};

use super::{Promise, Scene, machine, url};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

const MEMBERS: usize = 3;

pub(super) struct Etcd {
    network: Network,
    cluster: Cluster,
    revokes: bool,
}

impl Etcd {
    pub(super) fn start(revokes: bool, places: usize) -> Result<Self> {
        let cluster = Cluster::start()?;
        let addresses: Vec<String> = cluster.members().map(Member::address).collect();
        Ok(Self { network: Network::to(&addresses, places)?, cluster, revokes })
    }

    /// The leader half of the time; nobody knows who that is during an election.
    fn member(&self, dice: &mut Dice) -> (&Member, String) {
        let (leads, at) = (dice.one_in(2), dice.below(MEMBERS));
        let is_leader = |member: &Member| member.metric("etcd_server_is_leader") == Some(1);
        let leader = leads.then(|| self.cluster.members().position(is_leader)).flatten();
        let at = leader.unwrap_or(at);
        (self.cluster.member(at), format!("server {at}"))
    }

    /// What an operator may do, and nothing of the locks' own: somebody's lease ends. `None` while nobody answers.
    fn revoke(&self, dice: &mut Dice) -> Option<Strike<'_>> {
        let member = self.cluster.member(dice.below(MEMBERS));
        let leases = member.ctl(&["lease", "list"]).ok()?;
        let leases: Vec<&str> = leases.lines().map(str::trim).filter(|line| is_lease(line)).collect();
        let lease = *leases.get(dice.below(leases.len()))?;
        member.ctl(&["lease", "revoke", lease]).ok()?;
        Some(Strike::at_once("lease revoked", format!("lease {lease}")))
    }
}

/// `lease list` says how many there are, and then each in hexadecimal.
fn is_lease(line: &str) -> bool {
    line.len() == 16 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
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
        Promise { clocks: true, memory: !self.revokes, heal_bound: Duration::from_secs(12) }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        let (pauses, lasts) = (dice.one_in(2), dice.span_ms(300, 3000));
        let (member, target) = self.member(dice);
        if self.revokes && !dice.one_in(3) {
            return Ok(self.revoke(dice));
        }
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
