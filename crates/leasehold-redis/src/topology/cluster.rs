//! A Redis Cluster: which node has which slot, learnt from the nodes, corrected by what they answer.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{BoxFuture, Env, Error, ErrorKind, Result, Revalidations};
use redis::{Value, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::Topology;
use crate::{connection::Node, dial::Dial, options::Endpoint, reply, slot::SLOTS};

const ASK_TIMEOUT: Duration = Duration::from_millis(500);
/// The map is not asked for more often than this.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// A Redis Cluster.
#[derive(Debug)]
pub(crate) struct Cluster(Arc<Map>);

#[derive(Debug)]
struct Map {
    seeds: Vec<Endpoint>,
    dial: Arc<Dial>,
    env: Env,
    revalidations: Revalidations,
    state: RwLock<State>,
    looking: AsyncMutex<()>,
    look_now: Notify,
    sharded: AtomicBool,
    closed: AtomicBool,
}

#[derive(Default, Debug)]
struct State {
    nodes: HashMap<Endpoint, Arc<Node>>,
    /// The owner of each slot; empty before the first look.
    owners: Vec<Option<Arc<Node>>>,
}

/// What one node says: ranges of slots and their owners.
type Ranges = Vec<(u16, u16, Endpoint)>;

impl Cluster {
    pub(crate) fn start(seeds: &[Endpoint], dial: Arc<Dial>, env: Env, revalidations: Revalidations) -> Self {
        let map = Arc::new(Map {
            seeds: seeds.to_vec(),
            dial,
            env: env.clone(),
            revalidations,
            state: RwLock::default(),
            looking: AsyncMutex::default(),
            look_now: Notify::new(),
            sharded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        env.spawn(follow(Arc::downgrade(&map), env.clone()));
        Cluster(map)
    }
}

impl Map {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, endpoint: &Endpoint) -> Arc<Node> {
        if let Some(node) = self.state().nodes.get(endpoint) {
            return node.clone();
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Node::new(endpoint.clone(), self.dial.clone(), self.env.clone(), self.revalidations.clone());
        state.nodes.entry(endpoint.clone()).or_insert_with(new).clone()
    }

    fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.state().owners.get(usize::from(slot)).cloned().flatten()
    }

    /// Asks the nodes one after the other until one knows the map. One look at a time.
    async fn look(&self) -> Result<()> {
        let _turn = self.looking.lock().await;
        let known: Vec<Endpoint> = self.state().nodes.keys().cloned().collect();
        let mut failure = None;
        let others = known.into_iter().filter(|endpoint| !self.seeds.contains(endpoint));
        for endpoint in self.seeds.iter().cloned().chain(others.collect::<Vec<_>>()) {
            let node = self.node(&endpoint);
            match self.ask(&node).await {
                Ok(ranges) if ranges.is_empty() => {}
                Ok(ranges) => {
                    self.take_over(&ranges);
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        let none = || {
            Error::new(ErrorKind::Unreachable, "no node of the Cluster knows who has which slot")
                .hint("has the Cluster been made? see CLUSTER INFO")
        };
        Err(failure.unwrap_or_else(none))
    }

    async fn ask(&self, node: &Arc<Node>) -> Result<Ranges> {
        let (mut slots, mut sharded) = (cmd("CLUSTER"), cmd("PUBSUB"));
        slots.arg("SLOTS");
        sharded.arg("SHARDNUMSUB");
        let mut replies = node.call(&[slots, sharded], ASK_TIMEOUT).await?.into_iter();
        let value = match replies.next() {
            Some(Ok(value)) => value,
            Some(Err(refusal)) if refusal.detail.contains("cluster support disabled") => {
                return Err(Error::new(ErrorKind::Invalid, "this server is not a node of a Cluster")
                    .hint("use redis:// for a single server"));
            }
            Some(Err(refusal)) => return Err(refusal.into_error()),
            None => return Ok(Vec::new()),
        };
        // Redis before 7 does not know the question. Without the right to ask it is 7 or later.
        let knows = match replies.next() {
            Some(Err(refusal)) => refusal.code == "NOPERM",
            Some(Ok(_)) => true,
            None => false,
        };
        self.sharded.store(knows && self.dial.speaks_resp3(), Ordering::Relaxed);
        let mut ranges = Vec::new();
        for range in reply::list(value, "the slots of a Cluster")? {
            let range = reply::list(range, "a range of slots")?;
            let first = u16::try_from(reply::number(range.first())?).unwrap_or(SLOTS);
            let last = u16::try_from(reply::number(range.get(1))?).unwrap_or(SLOTS);
            let master = reply::list(range.get(2).cloned().unwrap_or(Value::Nil), "a master")?;
            let host = reply::text(master.first())?.unwrap_or_default();
            let port = u16::try_from(reply::number(master.get(1))?).unwrap_or_default();
            if first <= last && last < SLOTS && port > 0 {
                ranges.push((first, last, endpoint(&host, port, node)));
            }
        }
        Ok(ranges)
    }

    fn take_over(&self, ranges: &Ranges) {
        let mut owners: Vec<Option<Arc<Node>>> = vec![None; usize::from(SLOTS)];
        for (first, last, endpoint) in ranges {
            let node = self.node(endpoint);
            owners[usize::from(*first)..=usize::from(*last)].fill(Some(node));
        }
        let changed = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
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

/// An empty host, or `?`, is the one that was asked (Redis 7, unknown endpoint).
fn endpoint(host: &str, port: u16, said_by: &Arc<Node>) -> Endpoint {
    match (host, said_by.endpoint()) {
        ("" | "?", Endpoint::Tcp { host, .. }) => Endpoint::tcp(host, port),
        _ => Endpoint::tcp(host, port),
    }
}

fn address(text: &str, said_by: &Arc<Node>) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    Some(endpoint(host, port.parse().ok()?, said_by))
}

/// Looks again when told so, not too often.
async fn follow(map: Weak<Map>, env: Env) {
    loop {
        {
            let Some(map) = map.upgrade() else { return };
            if map.closed.load(Ordering::Relaxed) {
                return;
            }
            let told = env.until(env.now() + Duration::from_secs(1), map.look_now.notified()).await.is_some();
            if told && let Err(error) = map.look().await {
                tracing::debug!(%error, "the map of the Cluster is not known");
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
            self.0.look().await?;
            self.0.owner(slot).ok_or_else(|| {
                Error::new(ErrorKind::Unreachable, format!("nobody has slot {slot} of the Cluster"))
                    .hint("see CLUSTER INFO: all slots need an owner")
            })
        })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async move {
            if self.0.state().owners.is_empty() {
                self.0.look().await?;
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

    fn moved(&self, slot: u16, text: &str, said_by: &Arc<Node>) {
        let Some(endpoint) = address(text, said_by) else { return };
        let node = self.0.node(&endpoint);
        {
            let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(owner) = state.owners.get_mut(usize::from(slot)) {
                *owner = Some(node);
            }
        }
        self.0.revalidations.raise_sparingly(&self.0.env);
        self.0.look_now.notify_one();
    }

    fn asked(&self, text: &str, said_by: &Arc<Node>) -> Option<Arc<Node>> {
        Some(self.0.node(&address(text, said_by)?))
    }

    fn doubt(&self, _node: &Arc<Node>) {
        self.0.look_now.notify_one();
    }

    fn has_sharded_channels(&self) -> bool {
        self.0.sharded.load(Ordering::Relaxed)
    }

    fn counts_receivers(&self) -> bool {
        self.has_sharded_channels()
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.look_now.notify_one();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close();
    }
}
