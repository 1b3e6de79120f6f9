//! A Redis Cluster: the owner of each slot, as its nodes report it and their redirections correct it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{BoxFuture, Error, ErrorKind, Result, store_kit::Locked, url::Address};
use redis::{Value, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::{Tasks, Topology};
use crate::{
    format::read,
    keys::SLOTS,
    options::Endpoint,
    transport::{Node, connection::Connector},
};

/// The time that one node has to report the slots.
const NODE_TIMEOUT: Duration = Duration::from_millis(500);
/// The shortest pause between two requests for the slots.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// A Redis Cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    map: Arc<SlotMap>,
    tasks: Tasks,
}

#[derive(Debug)]
struct SlotMap {
    seeds: Vec<Endpoint>,
    connector: Arc<Connector>,
    state: Locked<State>,
    refreshing: AsyncMutex<()>,
    refresh_now: Notify,
    sharded: AtomicBool,
}

#[derive(Default, Debug)]
struct State {
    nodes: HashMap<Endpoint, Arc<Node>>,
    /// The owner of each slot; empty before the first report.
    owners: Vec<Option<Arc<Node>>>,
}

/// The report of one node: ranges of slots and their owners.
type Ranges = Vec<(u16, u16, Endpoint)>;

impl Cluster {
    pub(crate) fn start(seeds: Vec<Endpoint>, connector: Arc<Connector>) -> Self {
        let map = Arc::new(SlotMap {
            seeds,
            connector,
            state: Locked::default(),
            refreshing: AsyncMutex::default(),
            refresh_now: Notify::new(),
            sharded: AtomicBool::new(false),
        });
        let tasks = Tasks::default();
        tasks.spawn(&map.connector.env, map.clone().keep_current());
        Cluster { map, tasks }
    }
}

impl SlotMap {
    fn node(&self, endpoint: &Endpoint) -> Arc<Node> {
        let mut state = self.state.lock();
        let node = state.nodes.entry(endpoint.clone());
        node.or_insert_with(|| Node::new(endpoint.clone(), self.connector.clone())).clone()
    }

    fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.state.lock().owners.get(usize::from(slot)).cloned().flatten()
    }

    /// Refreshes the slots when that is requested, not too often.
    async fn keep_current(self: Arc<Self>) {
        loop {
            self.refresh_now.notified().await;
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "the slots of the Cluster are not known");
            }
            self.connector.env.sleep(REFRESH_PAUSE).await;
        }
    }

    /// Asks the nodes one after the other until one reports the slots. One refresh at a time.
    async fn refresh(&self) -> Result<()> {
        let _refreshing = self.refreshing.lock().await;
        let mut endpoints = self.seeds.clone();
        let known: Vec<Endpoint> = self.state.lock().nodes.keys().cloned().collect();
        endpoints.extend(known.into_iter().filter(|endpoint| !self.seeds.contains(endpoint)));
        let mut failure = None;
        for endpoint in endpoints {
            match self.slot_ranges(&self.node(&endpoint)).await {
                Ok(ranges) if ranges.is_empty() => {}
                Ok(ranges) => {
                    self.adopt(&ranges);
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        let none = || {
            Error::new(ErrorKind::Unreachable, "no node of the Cluster reports the owners of the slots")
                .hint("has the Cluster been made? see CLUSTER INFO")
        };
        Err(failure.unwrap_or_else(none))
    }

    async fn slot_ranges(&self, node: &Node) -> Result<Ranges> {
        let (mut slots, mut sharded) = (cmd("CLUSTER"), cmd("PUBSUB"));
        slots.arg("SLOTS");
        sharded.arg("SHARDNUMSUB");
        let mut replies = node.call(&[slots, sharded], NODE_TIMEOUT).await?.into_iter();
        let value = match replies.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) if error.detail.contains("cluster support disabled") => {
                return Err(Error::new(ErrorKind::Invalid, "this server is not a node of a Cluster")
                    .hint("use redis:// for a single server"));
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(Vec::new()),
        };
        // Redis before 7 does not have the command. A user without the right to it is on 7 or later.
        let knows =
            replies.next().is_some_and(|reply| reply.map_or_else(|error| error.code == "NOPERM", |_| true));
        self.sharded.store(knows && self.connector.speaks_resp3(), Ordering::Relaxed);
        let ranges: Vec<Vec<Value>> = read(&value, "the slots of a Cluster")?;
        ranges.iter().filter_map(|range| read_range(range, node).transpose()).collect()
    }

    fn adopt(&self, ranges: &Ranges) {
        let mut owners: Vec<Option<Arc<Node>>> = vec![None; usize::from(SLOTS)];
        for (first, last, endpoint) in ranges {
            owners[usize::from(*first)..=usize::from(*last)].fill(Some(self.node(endpoint)));
        }
        let before = std::mem::replace(&mut self.state.lock().owners, owners.clone());
        let differs = |(old, new): (&Arc<Node>, &Arc<Node>)| !Arc::ptr_eq(old, new);
        if before.iter().zip(&owners).any(|(old, new)| old.as_ref().zip(new.as_ref()).is_some_and(differs)) {
            tracing::info!("slots of the Cluster have new owners: checking all leases");
            self.connector.revalidations.raise_sparingly(&self.connector.env);
        }
    }
}

/// One entry of `CLUSTER SLOTS`: the first slot, the last one, and the master with its host and port.
fn read_range(range: &[Value], from: &Node) -> Result<Option<(u16, u16, Endpoint)>> {
    let [first, last, master, ..] = range else { return Ok(None) };
    let (first, last): (i64, i64) = (read(first, "a slot")?, read(last, "a slot")?);
    let [host, port, ..] = &read::<Vec<Value>>(master, "a master")?[..] else { return Ok(None) };
    let host: Option<String> = read(host, "a host")?;
    let port = u16::try_from(read::<i64>(port, "a port")?).unwrap_or_default();
    let slot = |slot: i64| u16::try_from(slot).ok().filter(|slot| *slot < SLOTS);
    let fits = |(first, last): &(u16, u16)| first <= last && port > 0;
    let slots = slot(first).zip(slot(last)).filter(fits);
    Ok(slots.map(|(first, last)| (first, last, endpoint(&host.unwrap_or_default(), port, from))))
}

/// The endpoint that a node names. An empty host, or `?`, is the node's own (Redis 7, unknown endpoint).
fn endpoint(host: &str, port: u16, from: &Node) -> Endpoint {
    match (host, &from.endpoint) {
        ("" | "?", Endpoint::Tcp(Address { host, .. })) => Endpoint::tcp(host, port),
        _ => Endpoint::tcp(host, port),
    }
}

impl Topology for Cluster {
    fn known(&self, slot: u16) -> Option<Arc<Node>> {
        self.map.owner(slot)
    }

    fn route(&self, slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async move {
            if let Some(node) = self.map.owner(slot) {
                return Ok(node);
            }
            self.map.refresh().await?;
            self.map.owner(slot).ok_or_else(|| {
                Error::new(ErrorKind::Unreachable, format!("slot {slot} of the Cluster has no owner"))
                    .hint("see CLUSTER INFO: all slots need an owner")
            })
        })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async move {
            if self.map.state.lock().owners.is_empty() {
                self.map.refresh().await?;
            }
            let mut masters: Vec<Arc<Node>> = Vec::new();
            for node in self.map.state.lock().owners.iter().flatten() {
                if !masters.iter().any(|known| Arc::ptr_eq(known, node)) {
                    masters.push(node.clone());
                }
            }
            Ok(masters)
        })
    }

    fn redirected(&self, address: &str, from: &Node) -> Option<Arc<Node>> {
        let (host, port) = address.rsplit_once(':')?;
        Some(self.map.node(&endpoint(host, port.parse().ok()?, from)))
    }

    fn moved(&self, slot: u16, node: Arc<Node>) {
        if let Some(owner) = self.map.state.lock().owners.get_mut(usize::from(slot)) {
            *owner = Some(node);
        }
        let connector = &self.map.connector;
        connector.revalidations.raise_sparingly(&connector.env);
        self.map.refresh_now.notify_one();
    }

    fn suspect(&self) {
        self.map.refresh_now.notify_one();
    }

    fn has_sharded_channels(&self) -> bool {
        self.map.sharded.load(Ordering::Relaxed)
    }

    fn counts_receivers(&self) -> bool {
        self.has_sharded_channels()
    }

    fn close(&self) {
        self.tasks.end();
    }
}
