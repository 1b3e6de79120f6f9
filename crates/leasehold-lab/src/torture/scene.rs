//! [`Scene`]: the servers of a run, and what can go wrong with them.

mod cluster;
mod etcd;
mod machine;
mod memcached;
mod redis;
mod redlock;
mod sentinel;
mod sqlite;
mod zookeeper;

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::Serialize;

use crate::torture::{dice::Dice, failure::Result, lock::TTL, nemesis::Strike, network::Network};

/// What is put under torture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// One Redis server that syncs every write; killed and started again, it has all its data
    Redis,
    /// One Redis server without persistence, which also is flushed
    RedisVolatile,
    /// One Redis server whose wall clock jumps
    RedisClock,
    /// A Redis master with two replicas and three Sentinels: failovers
    Sentinel,
    /// A Redis Cluster of three masters and three replicas: failovers
    Cluster,
    /// Three Redis servers without persistence that vote; one at a time fails or forgets
    Redlock,
    /// The same, and wall clocks jump
    RedlockClock,
    /// Three ZooKeeper members
    Zookeeper,
    /// Three etcd members
    Etcd,
    /// The same, and an operator revokes leases
    EtcdRevoked,
    /// A file; there is no server that could fail
    Sqlite,
    /// One Memcached server: killed, flushed, filled until it evicts
    Memcached,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What holds throughout a run on this scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// No clock jumps.
    pub(crate) clocks: bool,
    /// What was acknowledged is not lost, by as many as it takes.
    pub(crate) memory: bool,
    /// How long after the last fault all is well, at the latest.
    pub(crate) heal_bound: Duration,
}

/// Servers that run. Ends with the value.
pub(crate) trait Scene: Sync {
    /// The URL for the worker at a place.
    fn url(&self, place: usize) -> String;
    /// Redis servers for those who speak to them themselves; none where the library has to do it for them.
    fn servers(&self, place: usize) -> Vec<String>;
    /// The links between workers and servers, where they go through proxies.
    fn network(&self) -> Option<&Network>;
    fn promise(&self) -> Promise;
    /// Something happens to the servers; `None` when there is nothing to strike now.
    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>>;
    /// Waits until all is well.
    fn mend(&self) -> Result<()>;
}

/// Starts the servers for so many workers.
pub(crate) fn start(kind: Kind, places: usize) -> Result<Box<dyn Scene>> {
    Ok(match kind {
        Kind::Redis => Box::new(redis::Redis::start(redis::Flavour::Durable, places)?),
        Kind::RedisVolatile => Box::new(redis::Redis::start(redis::Flavour::Volatile, places)?),
        Kind::RedisClock => Box::new(redis::Redis::start(redis::Flavour::Clock, places)?),
        Kind::Sentinel => Box::new(sentinel::Sentinel::start()?),
        Kind::Cluster => Box::new(cluster::Cluster::start()?),
        Kind::Redlock => Box::new(redlock::Redlock::start(false, places)?),
        Kind::RedlockClock => Box::new(redlock::Redlock::start(true, places)?),
        Kind::Zookeeper => Box::new(zookeeper::ZooKeeper::start(places)?),
        Kind::Etcd => Box::new(etcd::Etcd::start(false, places)?),
        Kind::EtcdRevoked => Box::new(etcd::Etcd::start(true, places)?),
        Kind::Sqlite => Box::new(sqlite::Sqlite::start()?),
        Kind::Memcached => Box::new(memcached::Memcached::start(places)?),
    })
}

/// `SCHEME://ADDRESSES?ttl=…`.
fn url(scheme: &str, addresses: &[String]) -> String {
    format!("{scheme}://{}?{}", addresses.join(","), ttl())
}

/// The time to live as a setting of a URL.
fn ttl() -> String {
    format!("ttl={}ms", TTL.as_millis())
}
