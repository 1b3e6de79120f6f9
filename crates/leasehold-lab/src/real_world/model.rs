//! Constants and types that workers, servers and nemesis share.

use std::{fmt, time::Duration};

use anyhow::Result;
use clap::ValueEnum;
use leasehold::env::Env;
use serde::Serialize;

use crate::model::name_of;

/// The time to live of every lock: short, so that a pause outlives it.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// The servers under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EnvironmentKind {
    /// One Redis server that syncs every write and keeps its data over a restart
    Redis,
    /// One Redis server without persistence, which is also flushed
    RedisVolatile,
    /// One Redis server whose wall clock jumps
    RedisClock,
    /// A Redis master with two replicas and three Sentinels: failovers
    Sentinel,
    /// A Redis Cluster of three masters and three replicas: failovers
    Cluster,
    /// Three independent Redis servers without persistence; one at a time fails or loses its data
    Redlock,
    /// The same, and wall clocks jump
    RedlockClock,
    /// Three ZooKeeper members
    Zookeeper,
    /// Three etcd members; the leader stalls for less than its election timeout
    Etcd,
    /// The same, and leases are revoked: by an operator, and by a leader that stalled for longer
    EtcdRevoked,
    /// A file; there is no server that could fail
    Sqlite,
    /// One Memcached server: killed, flushed, filled until it evicts
    Memcached,
    /// One PostgreSQL server; its processes stand still and are killed, all or one
    Postgres,
}

impl fmt::Display for EnvironmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self))
    }
}

pub(crate) struct ActiveFault<'s> {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    pub(crate) lasts: Duration,
    pub(crate) heal: Box<dyn FnOnce() -> Result<()> + Send + 's>,
}

impl ActiveFault<'_> {
    /// A fault without duration.
    pub(crate) fn instant(name: &'static str, target: String) -> Self {
        ActiveFault { name, target, lasts: Duration::ZERO, heal: Box::new(|| Ok(())) }
    }
}

/// `CLOCK_BOOTTIME` in microseconds, which all processes of a machine share.
pub(crate) fn now_us(env: &Env) -> u64 {
    env.now().nanos() / 1000
}
