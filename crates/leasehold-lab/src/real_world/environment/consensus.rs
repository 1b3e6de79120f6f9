//! Three ZooKeeper or etcd members; the leader is struck half of the time.

use anyhow::Result;
use leasehold_testkit::{
    etcd::{Cluster, Member},
    zookeeper::{Ensemble, Server},
};

use super::{Servers, Started, process_faults, url};
use crate::{real_world::model::ActiveFault, rng::Rng};

const MEMBERS: usize = 3;
/// A pause of etcd's leader that ends before its election timeout of a second. One that outlasts it makes the leader revoke
/// leases that its successor has prolonged, in releases without etcd's PR 16822 (etcd#15247), Debian's among them.
const SHORT_STALL_MS: (u64, u64) = (100, 700);

pub(super) fn start_zookeeper() -> Result<Started> {
    let ensemble = Ensemble::start(MEMBERS)?;
    let addresses = ensemble.members().iter().map(Server::address).collect();
    Ok((Box::new(ZooKeeper(ensemble)), addresses, url("zookeeper")))
}

pub(super) fn start_etcd(revokes: bool) -> Result<Started> {
    let cluster = Cluster::start()?;
    let addresses = cluster.members().map(Member::address).collect();
    Ok((Box::new(Etcd { cluster, revokes }), addresses, url("etcd")))
}

/// The leader or any member; `leader` finds nobody during an election.
fn choose(rng: &mut Rng, leader: impl FnOnce() -> Option<usize>) -> usize {
    let (leads, at) = (rng.one_in(2), rng.below(MEMBERS));
    leads.then(leader).flatten().unwrap_or(at)
}

struct ZooKeeper(Ensemble);

impl Servers for ZooKeeper {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (pauses, lasts, members) = (rng.one_in(2), rng.span_ms(300, 3000), self.0.members());
        let is_leader = |member: &Server| member.mode().as_deref() == Some("leader");
        let at = choose(rng, || members.iter().position(is_leader));
        process_faults::pause_or_kill(pauses, &members[at], format!("server {at}"), lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.0.members().iter().try_for_each(Server::await_serving)?)
    }
}

struct Etcd {
    cluster: Cluster,
    /// Whether leases end that were prolonged: revoked by an operator, or by a leader that was stalled.
    revokes: bool,
}

impl Etcd {
    /// Revokes a lease, as an operator may do; `None` while no member answers.
    fn revoke(&self, rng: &mut Rng) -> Option<ActiveFault<'_>> {
        let member = self.cluster.member(rng.below(MEMBERS));
        let leases = member.ctl(&["lease", "list"]).ok()?;
        let leases: Vec<&str> = leases.lines().map(str::trim).filter(|line| is_lease(line)).collect();
        let lease = *leases.get(rng.below(leases.len()))?;
        member.ctl(&["lease", "revoke", lease]).ok()?;
        Some(ActiveFault::instant("lease revoked", format!("lease {lease}")))
    }
}

/// `lease list` prints a count and then each lease in hexadecimal.
fn is_lease(line: &str) -> bool {
    line.len() == 16 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Servers for Etcd {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (pauses, mut lasts) = (rng.one_in(2), rng.span_ms(300, 3000));
        let is_leader = |member: &Member| member.metric("etcd_server_is_leader") == Some(1);
        let at = choose(rng, || self.cluster.members().position(is_leader));
        if self.revokes && !rng.one_in(3) {
            return Ok(self.revoke(rng));
        }
        let member = self.cluster.member(at);
        if pauses && !self.revokes && is_leader(member) {
            lasts = rng.span_ms(SHORT_STALL_MS.0, SHORT_STALL_MS.1);
        }
        process_faults::pause_or_kill(pauses, member, format!("server {at}"), lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.cluster.leader().map(|_| ())?)
    }
}
