//! [`Environment`]: the servers of a run, the network to them, and the faults that they can suffer.

mod others;
mod postgres;
mod redis;

use std::time::Duration;

use anyhow::Result;
use leasehold_testkit::server::{Program, ServerProcess};

use super::{
    model::{ActiveFault, EnvironmentKind, TTL},
    network::Network,
};
use crate::{checker::Assumptions, rng::Rng};

trait Servers: Sync {
    /// Injects a fault; `None`: no server can be struck now.
    fn inject(&self, _: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        Ok(None)
    }
    fn await_healthy(&self) -> Result<()> {
        Ok(())
    }
}

/// Servers, their addresses, and the URL for clients: `ADDRESSES` in it stands for those of the proxies.
type Started = (Box<dyn Servers>, Vec<String>, String);

/// Running servers; they end with the value.
pub(crate) struct Environment {
    servers: Box<dyn Servers>,
    url: String,
    /// `None`: the servers tell their clients each other's addresses, so there can be no proxies, or there are no servers.
    network: Option<Network>,
    /// Whether naive clients can send raw Redis commands.
    is_redis: bool,
    /// The assumptions that hold throughout a run, for a resource that is claimed.
    pub(crate) assumptions: Assumptions,
    /// Whether every second worker is in a container.
    containers: bool,
}

impl Environment {
    /// Starts the servers for that many workers.
    pub(crate) fn start(kind: EnvironmentKind, workers: usize) -> Result<Self> {
        use EnvironmentKind::{
            Cluster, Etcd, EtcdRevoked, Memcached, Postgres, Redis, RedisClock, RedisVolatile, Redlock,
            RedlockClock, Sentinel, Sqlite, Zookeeper,
        };
        let (servers, addresses, url) = match kind {
            Redis | RedisVolatile | RedisClock => redis::start_one(kind)?,
            Sentinel => redis::start_sentinel()?,
            Cluster => redis::start_cluster()?,
            Redlock | RedlockClock => redis::start_redlock(kind == RedlockClock)?,
            Zookeeper => others::start_zookeeper()?,
            Etcd | EtcdRevoked => others::start_etcd(kind == EtcdRevoked)?,
            Sqlite => others::start_sqlite()?,
            Memcached => others::start_memcached()?,
            Postgres => postgres::start()?,
        };
        let network = if addresses.is_empty() { None } else { Some(Network::to(&addresses, workers)?) };
        let is_redis = matches!(kind, Redis | RedisVolatile | RedisClock | Redlock | RedlockClock);
        let assumptions = Assumptions {
            clocks: !matches!(kind, RedisClock | RedlockClock),
            // A promoted replica may lack the last grants, because replication is asynchronous.
            memory: !matches!(kind, RedisVolatile | Sentinel | Cluster | EtcdRevoked | Memcached),
            heal_bound: match kind {
                Redlock | RedlockClock => redis::QUARANTINE + TTL + Duration::from_secs(3),
                Sentinel | Cluster => Duration::from_secs(15),
                Zookeeper | Etcd | EtcdRevoked => Duration::from_secs(12),
                _ => Duration::from_secs(8),
            },
            ..Assumptions::default()
        };
        Ok(Self { servers, url, network, is_redis, assumptions, containers: kind == Sqlite })
    }

    /// Whether a worker is in a container, which shares the file of the locks with the machine.
    pub(crate) fn is_container(&self, worker: usize) -> bool {
        self.containers && worker % 2 == 1
    }

    pub(crate) fn url(&self, worker: usize) -> String {
        self.url.replace("ADDRESSES", &self.addresses(worker).join(","))
    }

    /// The Redis servers for a naive client of a worker; none where it has to use the library.
    pub(crate) fn raw_servers(&self, worker: usize) -> Vec<String> {
        if self.is_redis { self.addresses(worker) } else { Vec::new() }
    }

    fn addresses(&self, worker: usize) -> Vec<String> {
        self.network.as_ref().map(|network| network.addresses(worker)).unwrap_or_default()
    }

    /// Injects a fault into the network or into a server.
    pub(crate) fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        match self.network.as_ref().filter(|_| rng.one_in(2)) {
            Some(network) => Ok(Some(network.inject(rng))),
            None => self.servers.inject(rng),
        }
    }

    /// Ends the faults of the network and waits until the servers have recovered.
    pub(crate) fn heal(&self) -> Result<()> {
        if let Some(network) = &self.network {
            network.heal();
        }
        self.servers.await_healthy()
    }
}

/// SIGSTOP, and SIGCONT at the end.
fn pause<P: Program>(server: &ServerProcess<P>, target: String, lasts: Duration) -> Result<ActiveFault<'_>> {
    server.pause()?;
    Ok(ActiveFault { name: "server paused", target, lasts, heal: Box::new(|| Ok(server.resume()?)) })
}

/// SIGKILL, and a restart at the end with the data on its disk.
fn kill<P: Program>(server: &ServerProcess<P>, target: String, lasts: Duration) -> ActiveFault<'_> {
    server.kill();
    ActiveFault { name: "server killed", target, lasts, heal: Box::new(|| Ok(server.restart()?)) }
}

fn pause_or_kill<P: Program>(
    pauses: bool,
    server: &ServerProcess<P>,
    target: String,
    lasts: Duration,
) -> Result<ActiveFault<'_>> {
    if pauses { pause(server, target, lasts) } else { Ok(kill(server, target, lasts)) }
}

/// `SCHEME://ADDRESSES?ttl=…`.
fn url(scheme: &str) -> String {
    format!("{scheme}://ADDRESSES?{}", ttl_option())
}

fn ttl_option() -> String {
    format!("ttl={}ms", TTL.as_millis())
}
