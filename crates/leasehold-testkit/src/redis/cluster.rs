//! [`Cluster`]: three masters and three replicas that share the slots.

use std::time::Duration;

use super::{Builder, Server};
use crate::{Error, Result, error::ensure, wait};

const MASTERS: usize = 3;
const SLOTS: u16 = 16384;

/// Six nodes of a Cluster: node 0, 1 and 2 begin as masters, 3, 4 and 5 as their replicas.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

/// The options of a node: a master that is silent for this timeout has failed, and the other slots are served.
fn node() -> Builder {
    let node = Server::builder().cluster().arg("cluster-node-timeout", "1500");
    node.arg("cluster-require-full-coverage", "no")
}

impl Cluster {
    /// Starts it, and waits until all nodes report that it is well.
    pub fn start() -> Result<Self> {
        Self::with(|node| node)
    }

    /// The same with other options of the nodes.
    pub fn with(prepare: impl Fn(Builder) -> Builder) -> Result<Self> {
        let nodes = (0..2 * MASTERS).map(|_| prepare(node()).start()).collect::<Result<Vec<_>>>()?;
        let kit = Cluster { nodes };
        for (at, node) in kit.nodes.iter().enumerate() {
            node.run(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()])?;
        }
        for node in &kit.nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.bus_port().to_string());
            kit.nodes[0].run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        for master in 0..MASTERS {
            let (first, last) = Cluster::range(master);
            let command = ["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()];
            kit.nodes[master].run(&command)?;
        }
        for at in 0..MASTERS {
            let master = kit.id(at)?;
            wait::attempt(Duration::from_secs(30), || {
                kit.nodes[MASTERS + at].run(&["CLUSTER", "REPLICATE", &master])
            })?;
        }
        kit.await_well(2 * MASTERS)?;
        Ok(kit)
    }

    fn range(master: usize) -> (u16, u16) {
        let size = SLOTS / MASTERS as u16 + 1;
        let first = master as u16 * size;
        (first, (first + size - 1).min(SLOTS - 1))
    }

    /// Waits until that many nodes report that all slots are served, and all replicas follow.
    pub fn await_well(&self, nodes: usize) -> Result<()> {
        wait::attempt(Duration::from_secs(60), || {
            let well = self.nodes.iter().filter(|node| {
                let Ok(info) = node.command(&["CLUSTER", "INFO"]) else { return false };
                let text = info.text().unwrap_or_default();
                let has = |line: &str| text.lines().any(|it| it.trim() == line);
                has("cluster_state:ok") && has("cluster_slots_ok:16384") && has("cluster_known_nodes:6")
            });
            let following = self.nodes[MASTERS..].iter().filter(|node| node.is_running()).all(|node| {
                node.try_info("replication").is_ok_and(|info| {
                    let is = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
                    is("role", "master") || is("master_link_status", "up")
                })
            });
            let count = well.count();
            let found = || format!("{count} nodes are well, replicas follow: {following}");
            ensure(count >= nodes && following, found)
        })
    }

    /// A node.
    pub fn node(&self, at: usize) -> &Server {
        &self.nodes[at]
    }

    /// `redis+cluster://H1,H2,…`.
    pub fn url(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(Server::address).collect();
        format!("redis+cluster://{}", all.join(","))
    }

    fn id(&self, at: usize) -> Result<String> {
        Ok(self.nodes[at].command(&["CLUSTER", "MYID"])?.text().unwrap_or_default().to_string())
    }

    /// The node that a running node names as the master of a slot.
    pub fn master_of(&self, slot: u16) -> Result<usize> {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let Ok(reply) = node.command(&["CLUSTER", "SLOTS"]) else { continue };
            for range in reply.items() {
                let [first, last, master, ..] = range.items() else { continue };
                let (Some(first), Some(last)) = (first.int(), last.int()) else { continue };
                if (first..=last).contains(&i64::from(slot)) {
                    let port = master.items().get(1).and_then(|port| port.int());
                    let at = self.nodes.iter().position(|node| Some(i64::from(node.port())) == port);
                    return at.ok_or_else(|| Error("a master that is not of this kit".into()));
                }
            }
        }
        Err(Error(format!("no node has slot {slot}")))
    }

    /// The slot of a key.
    pub fn slot_of(&self, key: &str) -> Result<u16> {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key])?.int();
        slot.and_then(|slot| u16::try_from(slot).ok()).ok_or_else(|| Error("no slot".into()))
    }

    /// Begins to move a slot: from now on, missing keys are redirected to the other node.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        let (source, target, slot) = (self.id(from)?, self.id(to)?, slot.to_string());
        self.nodes[to].run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source])?;
        self.nodes[from].run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).map(drop)
    }

    /// Moves the keys of a slot over, one by one.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize) -> Result<usize> {
        let keys = self.nodes[from].command(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "1000"])?;
        let port = self.nodes[to].port().to_string();
        for key in keys.items() {
            let key = key.text().unwrap_or_default();
            self.nodes[from].run(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"])?;
        }
        Ok(keys.items().len())
    }

    /// Ends the move of a slot.
    pub fn finish_move(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        let (target, slot) = (self.id(to)?, slot.to_string());
        for at in [to, from] {
            self.nodes[at].run(&["CLUSTER", "SETSLOT", &slot, "NODE", &target])?;
        }
        Ok(())
    }
}
