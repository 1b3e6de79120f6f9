//! Three ZooKeeper or etcd members, whose leader is struck half of the time; one Memcached server; an SQLite file.

use std::fmt::Write;

use anyhow::Result;
use leasehold_testkit::{
    etcd::{self, Member},
    memcached,
    zookeeper::{Ensemble, Server},
};
use tempfile::TempDir;

use super::{Servers, Started, kill, pause, pause_or_kill, ttl_option, url};
use crate::{real_world::model::ActiveFault, rng::Rng};

const MEMBERS: usize = 3;
/// A pause of etcd's leader that ends before its election timeout of a second. One that outlasts it makes the leader revoke
/// leases that its successor has prolonged, in releases without etcd's PR 16822 (etcd#15247), Debian's among them.
const SHORT_STALL_MS: (u64, u64) = (100, 700);
/// The number of items of each size that fill a Memcached server of 2 MB until it evicts.
const ITEMS: usize = 12_000;
/// Sizes of values in bytes, one for each slab class that the entries of locks may be in.
const SIZES: [usize; 4] = [60, 110, 170, 260];

/// The leader or any member; `leader` finds none during an election.
fn choose(rng: &mut Rng, leader: impl FnOnce() -> Option<usize>) -> usize {
    let (leads, at) = (rng.one_in(2), rng.below(MEMBERS));
    leads.then(leader).flatten().unwrap_or(at)
}

pub(super) fn start_zookeeper() -> Result<Started> {
    let ensemble = Ensemble::start(MEMBERS)?;
    let addresses = ensemble.members().iter().map(Server::address).collect();
    Ok((Box::new(ensemble), addresses, url("zookeeper")))
}

impl Servers for Ensemble {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (pauses, lasts) = (rng.one_in(2), rng.span_ms(300, 3000));
        let is_leader = |member: &Server| member.mode().as_deref() == Some("leader");
        let at = choose(rng, || self.members().iter().position(is_leader));
        pause_or_kill(pauses, &self.members()[at], format!("server {at}"), lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.members().iter().try_for_each(Server::await_serving)?)
    }
}

pub(super) fn start_etcd(revokes: bool) -> Result<Started> {
    let cluster = etcd::Cluster::start()?;
    let addresses = cluster.members().map(Member::address).collect();
    Ok((Box::new(Etcd { cluster, revokes }), addresses, url("etcd")))
}

struct Etcd {
    cluster: etcd::Cluster,
    /// Whether leases end that were prolonged: revoked by an operator, or by a leader that was stalled.
    revokes: bool,
}

impl Etcd {
    /// Revokes a lease, as an operator may do; `None` while no member answers.
    fn revoke(&self, rng: &mut Rng) -> Option<ActiveFault<'_>> {
        // `lease list` prints a count and then each lease in hexadecimal.
        let is_lease = |line: &&str| line.len() == 16 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let member = self.cluster.member(rng.below(MEMBERS));
        let leases = member.ctl(&["lease", "list"]).ok()?;
        let leases: Vec<&str> = leases.lines().map(str::trim).filter(is_lease).collect();
        let lease = *leases.get(rng.below(leases.len()))?;
        member.ctl(&["lease", "revoke", lease]).ok()?;
        Some(ActiveFault::instant("lease revoked", format!("lease {lease}")))
    }
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
        pause_or_kill(pauses, member, format!("server {at}"), lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.cluster.leader().map(|_| ())?)
    }
}

pub(super) fn start_memcached() -> Result<Started> {
    let server = memcached::Server::with(&["-m", "2"])?;
    let addresses = vec![server.address()];
    Ok((Box::new(server), addresses, url("memcached")))
}

/// Fills the memory, so that the least recently used entries are evicted.
fn fill(server: &memcached::Server) -> Result<()> {
    let mut connection = server.connect()?;
    for size in SIZES {
        let (mut commands, value) = (String::new(), "x".repeat(size));
        for item in 0..ITEMS {
            // Writing into a string does not fail.
            let _ = write!(commands, "set fill-{size}-{item} 0 0 {size} noreply\r\n{value}\r\n");
        }
        connection.send(commands.as_bytes())?;
    }
    connection.command("version")?;
    Ok(())
}

impl Servers for memcached::Server {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, lasts, target) = (rng.below(4), rng.span_ms(200, 3000), "server 0".to_string());
        Ok(Some(match choice {
            0 => pause(self, target, lasts)?,
            1 => kill(self, target, lasts / 2),
            2 => {
                self.command("flush_all")?;
                ActiveFault::instant("data flushed", target)
            }
            _ => {
                fill(self)?;
                ActiveFault::instant("data evicted", target)
            }
        }))
    }
}

pub(super) fn start_sqlite() -> Result<Started> {
    let directory = tempfile::Builder::new().prefix("leasehold-torture-sqlite-").tempdir()?;
    let url = format!("sqlite:{}?{}", directory.path().join("locks.db").display(), ttl_option());
    Ok((Box::new(directory), Vec::new(), url))
}

/// A file has no server that could fail.
impl Servers for TempDir {}
