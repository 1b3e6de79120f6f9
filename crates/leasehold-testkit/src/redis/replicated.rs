//! A master with replicas.

use std::time::Duration;

use super::{builder::Builder, server::Server};
use crate::{Result, error::ensure, proxy::Proxy, wait};

/// The time limit of replication, on a busy machine.
const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// A master whose replicas replicate through a proxy each, so that the stream can be held without stopping anybody.
#[derive(Debug)]
pub struct Replicated {
    replicas: Vec<Server>,
    links: Vec<Proxy>,
    master: Server,
}

impl Replicated {
    /// A master with that many replicas; returns when all are online.
    pub fn start(replicas: usize) -> Result<Self> {
        Self::with(replicas, |builder| builder)
    }

    /// The same with other options: `prepare` is called for each server, the master too.
    pub fn with(replicas: usize, prepare: impl Fn(Builder) -> Builder) -> Result<Self> {
        let master = prepare(Server::builder()).start()?;
        let links = (0..replicas).map(|_| Proxy::to(&master.address())).collect::<Result<Vec<_>>>()?;
        let replica = |link: &Proxy| prepare(Server::builder()).replica_of_address(&link.address()).start();
        let replicas = links.iter().map(replica).collect::<Result<Vec<_>>>()?;
        let all = Self { replicas, links, master };
        all.await_replicas()?;
        Ok(all)
    }

    /// The server that was started as the master.
    pub fn master(&self) -> &Server {
        &self.master
    }

    /// A server that was started as a replica.
    pub fn replica(&self, index: usize) -> &Server {
        &self.replicas[index]
    }

    /// The proxy of the stream to that replica: `link(0).hold_replies()` keeps the replica from receiving anything.
    pub fn link(&self, index: usize) -> &Proxy {
        &self.links[index]
    }

    /// Waits until every replica has all writes of the master so far.
    pub fn await_replicas(&self) -> Result<()> {
        wait::attempt(SYNC_LIMIT, || {
            let offset = online_offset(&self.master, self.replicas.len())?;
            self.replicas.iter().try_for_each(|replica| has_reached(replica, offset))
        })
    }

    /// Promotes that replica (`REPLICAOF NO ONE`), as an operator would. The old master gets no notice, and the other
    /// replicas stay with it.
    pub fn failover_to(&self, index: usize) -> Result<()> {
        self.replica(index).run(&["REPLICAOF", "NO", "ONE"]).map(drop)
    }
}

/// The position of the master's stream, if that many replicas are online.
pub(super) fn online_offset(master: &Server, replicas: usize) -> Result<u64> {
    let info = master.try_info("replication")?;
    let online = info.values().filter(|value| value.contains("state=online")).count();
    ensure(online >= replicas, || format!("{online} of {replicas} replicas are online: {info:?}"))?;
    Ok(number(info.get("master_repl_offset")))
}

pub(super) fn has_reached(replica: &Server, offset: u64) -> Result<()> {
    let info = replica.try_info("replication")?;
    let is_up = info.get("master_link_status").is_some_and(|status| status == "up");
    let reached = number(info.get("slave_repl_offset"));
    ensure(is_up && reached >= offset, || format!("a replica has not reached {offset}: {info:?}"))
}

fn number(field: Option<&String>) -> u64 {
    field.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}
