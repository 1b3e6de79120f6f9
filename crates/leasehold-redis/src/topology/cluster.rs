//! A Redis Cluster: the owner of each slot, as its nodes report it and their redirections correct it.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{BoxFuture, Env, Error, ErrorKind, Result, Revalidations, url::Address};
use redis::{Value, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::Topology;
use crate::{
    format::{list, number, text},
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
pub(crate) struct Cluster(Arc<SlotMap>);

#[derive(Debug)]
struct SlotMap {
    seeds: Vec<Endpoint>,
    connector: Arc<Connector>,
    env: Env,
    revalidations: Revalidations,
    state: RwLock<State>,
    refreshing: AsyncMutex<()>,
    refresh_now: Notify,
    sharded: AtomicBool,
    closed: AtomicBool,
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
    pub(crate) fn start(
        seeds: &[Endpoint],
        connector: Arc<Connector>,
        env: Env,
        revalidations: Revalidations,
    ) -> Self {
        let map = Arc::new(SlotMap {
            seeds: seeds.to_vec(),
            connector,
            env: env.clone(),
            revalidations,
            state: RwLock::default(),
            refreshing: AsyncMutex::default(),
            refresh_now: Notify::new(),
            sharded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        env.spawn(keep_current(Arc::downgrade(&map), env.clone()));
        Cluster(map)
    }
}

impl SlotMap {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, endpoint: &Endpoint) -> Arc<Node> {
        if let Some(node) = self.state().nodes.get(endpoint) {
            return node.clone();
        }
        let mut state = self.state_mut();
        let new = || {
            Node::new(endpoint.clone(), self.connector.clone(), self.env.clone(), self.revalidations.clone())
        };
        state.nodes.entry(endpoint.clone()).or_insert_with(new).clone()
    }

    fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.state().owners.get(usize::from(slot)).cloned().flatten()
    }

    /// Asks the nodes one after the other until one reports the slots. One refresh at a time.
    async fn refresh(&self) -> Result<()> {
        let _refreshing = self.refreshing.lock().await;
        let known: Vec<Endpoint> = self.state().nodes.keys().cloned().collect();
        let mut failure = None;
        let others = known.into_iter().filter(|endpoint| !self.seeds.contains(endpoint));
        for endpoint in self.seeds.iter().cloned().chain(others.collect::<Vec<_>>()) {
            let node = self.node(&endpoint);
            match self.slot_ranges(&node).await {
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

    async fn slot_ranges(&self, node: &Arc<Node>) -> Result<Ranges> {
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
        let knows = match replies.next() {
            Some(Err(error)) => error.code == "NOPERM",
            Some(Ok(_)) => true,
            None => false,
        };
        self.sharded.store(knows && self.connector.speaks_resp3(), Ordering::Relaxed);
        let mut ranges = Vec::new();
        for range in list(value, "the slots of a Cluster")? {
            let range = list(range, "a range of slots")?;
            let first = u16::try_from(number(range.first())?).unwrap_or(SLOTS);
            let last = u16::try_from(number(range.get(1))?).unwrap_or(SLOTS);
            let master = list(range.get(2).cloned().unwrap_or(Value::Nil), "a master")?;
            let host = text(master.first())?.unwrap_or_default();
            let port = u16::try_from(number(master.get(1))?).unwrap_or_default();
            if first <= last && last < SLOTS && port > 0 {
                ranges.push((first, last, endpoint(&host, port, node)));
            }
        }
        Ok(ranges)
    }

    fn adopt(&self, ranges: &Ranges) {
        let mut owners: Vec<Option<Arc<Node>>> = vec![None; usize::from(SLOTS)];
        for (first, last, endpoint) in ranges {
            let node = self.node(endpoint);
            owners[usize::from(*first)..=usize::from(*last)].fill(Some(node));
        }
        let changed = {
            let mut state = self.state_mut();
            let differs = |(old, new): (&Option<Arc<Node>>, &Option<Arc<Node>>)| match (old, new) {
                (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
                _ => false,
            };
            let changed = state.owners.iter().zip(&owners).any(differs);
            state.owners = owners;
            changed
        };
        if changed {
            tracing::info!("slots of the Cluster have new owners: checking all leases");
            self.revalidations.raise_sparingly(&self.env);
        }
    }
}

/// The endpoint that a node names. An empty host, or `?`, is the node's own (Redis 7, unknown endpoint).
fn endpoint(host: &str, port: u16, from: &Arc<Node>) -> Endpoint {
    match (host, from.endpoint()) {
        ("" | "?", Endpoint::Tcp(Address { host, .. })) => Endpoint::tcp(host, port),
        _ => Endpoint::tcp(host, port),
    }
}

fn endpoint_of(address: &str, from: &Arc<Node>) -> Option<Endpoint> {
    let (host, port) = address.rsplit_once(':')?;
    Some(endpoint(host, port.parse().ok()?, from))
}

/// Refreshes the slots when that is requested, not too often.
async fn keep_current(map: Weak<SlotMap>, env: Env) {
    loop {
        {
            let Some(map) = map.upgrade() else { return };
            if map.closed.load(Ordering::Relaxed) {
                return;
            }
            let requested =
                env.until(env.now() + Duration::from_secs(1), map.refresh_now.notified()).await.is_some();
            if requested && let Err(error) = map.refresh().await {
                tracing::debug!(%error, "the slots of the Cluster are not known");
            }
        }
        env.sleep(REFRESH_PAUSE).await;
    }
}

impl Topology for Cluster {
    fn route(&self, slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async move {
            if let Some(node) = self.0.owner(slot) {
                return Ok(node);
            }
            self.0.refresh().await?;
            self.0.owner(slot).ok_or_else(|| {
                Error::new(ErrorKind::Unreachable, format!("slot {slot} of the Cluster has no owner"))
                    .hint("see CLUSTER INFO: all slots need an owner")
            })
        })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async move {
            if self.0.state().owners.is_empty() {
                self.0.refresh().await?;
            }
            let mut masters: Vec<Arc<Node>> = Vec::new();
            for node in self.0.state().owners.iter().flatten() {
                if !masters.last().is_some_and(|last| Arc::ptr_eq(last, node))
                    && !masters.iter().any(|known| Arc::ptr_eq(known, node))
                {
                    masters.push(node.clone());
                }
            }
            Ok(masters)
        })
    }

    fn redirected(&self, address: &str, from: &Arc<Node>) -> Option<Arc<Node>> {
        Some(self.0.node(&endpoint_of(address, from)?))
    }

    fn moved(&self, slot: u16, node: Arc<Node>) {
        if let Some(owner) = self.0.state_mut().owners.get_mut(usize::from(slot)) {
            *owner = Some(node);
        }
        self.0.revalidations.raise_sparingly(&self.0.env);
        self.0.refresh_now.notify_one();
    }

    fn suspect(&self, _node: &Arc<Node>) {
        self.0.refresh_now.notify_one();
    }

    fn has_sharded_channels(&self) -> bool {
        self.0.sharded.load(Ordering::Relaxed)
    }

    fn counts_receivers(&self) -> bool {
        self.has_sharded_channels()
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.refresh_now.notify_one();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close();
    }
}
