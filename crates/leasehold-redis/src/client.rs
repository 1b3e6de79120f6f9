//! [`Client`]: the state that all verbs of one client share.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Env, Error, ErrorKind, Result,
    store_kit::{self, InDoubt, Locked},
};
use redis::{Cmd, cmd};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    contention::Contention,
    dialect::{Announcement, Dialect, native::Native, plain::Plain, redisson::Redisson},
    format::{Commands, Replies, Request, Script, millis, next, read},
    keys::inbox,
    options::{self, RedisOptions, Servers},
    server_info,
    topology::{Router, Single, Topology, cluster::Cluster, sentinel::Sentinel},
    transport::{LiveConnection, Node, ServerFacts, connection::Connector},
    watcher::Watcher,
};

/// More claims in doubt than these are not recorded: their ids are not refused if their requests arrive late.
const IN_DOUBT_MAX: usize = 1 << 16;
/// The longest wait for the confirmation of replicas.
const REPLICAS_TIMEOUT: Duration = Duration::from_secs(1);

/// The state of one client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) options: RedisOptions,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) env: Env,
    pub(crate) router: Router,
    /// Claims with a request that may still arrive.
    pub(crate) in_doubt: InDoubt,
    pub(crate) contention: Contention,
    /// Claims that wait for a wake-up, and whether an unannounced holder keeps them out.
    pub(crate) unannounced: Locked<HashMap<ClaimId, bool>>,
    id: u64,
    /// One subscription connection for each server that this client listens to.
    watchers: Locked<Vec<Arc<Watcher>>>,
    connecting: AsyncMutex<()>,
    pub(crate) state: store_kit::ClientState,
}

impl Client {
    pub(crate) fn new(connector: Connector) -> Client {
        let (env, options) = (connector.env.clone(), connector.options.clone());
        let dialect: Box<dyn Dialect> = match &options.dialect {
            options::Dialect::Native => {
                let marker = options.membership.map(server_info::unknown_run);
                Box::new(Native { marker, reserves: options.min_replicas == 0 })
            }
            options::Dialect::Plain { template } => Box::new(Plain::new(template)),
            options::Dialect::Spring { registry } => Box::new(Plain::of_spring(registry)),
            options::Dialect::Redisson => {
                Box::new(Redisson { is_cluster: matches!(options.servers, Servers::Cluster(_)) })
            }
        };
        Client {
            state: store_kit::ClientState::new(
                options.capability(),
                &options.url,
                connector.revalidations.clone(),
            ),
            dialect,
            options,
            id: (env.random() >> 64) as u64,
            router: Router { topology: topology(Arc::new(connector)), env: env.clone() },
            in_doubt: InDoubt::new(IN_DOUBT_MAX),
            contention: Contention::default(),
            unannounced: Locked::default(),
            watchers: Locked::default(),
            connecting: AsyncMutex::default(),
            env,
        }
    }

    pub(crate) fn close(&self) {
        if self.state.close() {
            self.router.topology.close();
            self.watchers.lock().clear();
        }
    }

    // Requests.

    /// Sends a request about a lock, and answers its reply.
    pub(crate) async fn send<T>(&self, slot: u16, request: Request<'_, T>) -> Result<T> {
        let Request { script, commands, read } = request;
        read(self.router.run(slot, script, commands, self.options.timeout).await?)
    }

    /// The same for a request that writes: with the number of replicas that confirmed it. None is asked to unless
    /// `min_replicas` is set.
    pub(crate) async fn send_confirmed<T>(
        &self,
        slot: u16,
        request: Request<'_, T>,
        limit: Duration,
    ) -> Result<(T, u32)> {
        let Request { script, mut commands, read } = request;
        let replicas = self.options.min_replicas;
        commands.extend(wait_for(replicas, limit));
        let mut replies = self.router.run(slot, script, commands, limit).await?;
        let confirmed = confirmed(replicas, &mut replies)?;
        Ok((read(replies)?, confirmed))
    }

    /// Sends a request that may be answered by "ask otherwise", as it is where the server refuses it, on the connection that
    /// is open. `None` also without one. `request` gets what that knows of its server. `replicas` are to confirm
    /// it.
    pub(crate) async fn send_quiet<'a, T>(
        &self,
        slot: u16,
        replicas: u32,
        request: impl FnOnce(ServerFacts) -> Option<Request<'a, Option<T>>>,
    ) -> Result<Option<(T, u32)>> {
        let limit = self.options.timeout;
        let Some(node) = self.router.topology.known(slot) else { return Ok(None) };
        let Some((connection, begin, facts)) = node.current() else { return Ok(None) };
        let Some(Request { script, mut commands, read }) = request(facts) else { return Ok(None) };
        commands.extend(wait_for(replicas, limit));
        let mut replies = node.call_on(&connection, &commands, begin, limit).await?;
        if matches!(replies.first(), Some(Err(error)) if error.code == "NOSCRIPT")
            && let Some(script) = script
        {
            // Boxed: rarely needed, and large.
            replies = Box::pin(self.load_and_send(&node, &connection, script, commands)).await?;
        }
        if matches!(replies.first(), Some(Err(_))) {
            return Ok(None);
        }
        let confirmed = confirmed(replicas, &mut replies)?;
        Ok(read(replies)?.map(|answer| (answer, confirmed)))
    }

    /// Brings a server a script and its companions, and sends commands to it in the same piece.
    async fn load_and_send(
        &self,
        node: &Node,
        connection: &Arc<LiveConnection>,
        script: &Script,
        commands: Commands,
    ) -> Result<Replies> {
        let mut all = script.load_all();
        let count = all.len();
        all.extend(commands);
        let mut replies = node.call_on(connection, &all, self.env.now(), self.options.timeout).await?;
        drop(replies.drain(..count));
        Ok(replies)
    }

    /// The failure of a grant or a renewal that too few replicas have.
    pub(crate) fn too_few_replicas(&self, confirmed: u32) -> Error {
        let message = format!("{confirmed} of {} replicas confirmed it", self.options.min_replicas);
        Error::new(ErrorKind::NoQuorum, message)
            .hint("bring replicas back, or lower min_replicas and accept that a failover may lose the lock")
    }

    // Claims in doubt.

    /// Records that a request of this claim may still arrive, if the outcome is unknown.
    pub(crate) fn mark_in_doubt<T>(&self, claim: &Claim, result: &Result<T>) {
        if result.is_err() {
            let now = self.env.now();
            self.in_doubt.mark_unknown(claim.id, result, now + claim.ttl * 2, now);
        }
    }

    /// The time for which the claim's id has to be refused after its release, so that a late request is not granted.
    pub(crate) fn refuse_for(&self, claim: &Claim) -> Duration {
        match self.in_doubt.until(claim.id, self.env.now()) {
            Some(_) => claim.ttl * 2,
            None => Duration::ZERO,
        }
    }

    // Subscriptions.

    /// How scripts publish on these servers.
    pub(crate) fn announcement(&self) -> Announcement {
        let topology = &self.router.topology;
        let command = if topology.has_sharded_channels() { "SPUBLISH" } else { "PUBLISH" };
        Announcement { command, counts_receivers: topology.counts_receivers() }
    }

    fn inbox_of(&self, slot: u16) -> String {
        inbox(self.id, self.router.topology.has_sharded_channels().then_some(slot))
    }

    /// The channel on which waiters of this client are woken; empty as long as it is not subscribed.
    pub(crate) fn inbox(&self, slot: u16) -> String {
        let inbox = self.inbox_of(slot);
        let is_subscribed = self.watchers.lock().iter().any(|watcher| watcher.has_joined(&inbox));
        if is_subscribed { inbox } else { String::new() }
    }

    /// Whether waiters hear of unannounced changes.
    pub(crate) fn tracks(&self) -> bool {
        self.watchers.lock().iter().any(|watcher| !watcher.is_broken() && watcher.tracks)
    }

    /// The subscription connection for a slot, subscribed to `channel`, or to the client's inbox.
    pub(crate) async fn subscribe(&self, slot: u16, channel: Option<String>) -> Result<Arc<Watcher>> {
        let node = self.router.route(slot, self.options.timeout).await?;
        let watcher = self.watcher(&node).await.inspect_err(|_| self.router.topology.suspect())?;
        // Known only after the first connection to a Cluster.
        let sharded = self.router.topology.has_sharded_channels();
        let channel = channel.unwrap_or_else(|| self.inbox_of(slot));
        let joined = watcher.join(&channel, sharded).await;
        joined.inspect_err(|_| self.router.topology.suspect())?;
        Ok(watcher)
    }

    async fn watcher(&self, node: &Arc<Node>) -> Result<Arc<Watcher>> {
        let current = || {
            let mut watchers = self.watchers.lock();
            watchers.retain(|watcher| !watcher.is_broken());
            watchers.iter().find(|watcher| Arc::ptr_eq(&watcher.node, node)).cloned()
        };
        if let Some(watcher) = current() {
            return Ok(watcher);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(watcher) = current() {
            return Ok(watcher);
        }
        let watcher = Watcher::start(node.clone()).await?;
        self.state.check_open()?;
        self.watchers.lock().push(watcher.clone());
        Ok(watcher)
    }
}

fn topology(connector: Arc<Connector>) -> Box<dyn Topology> {
    match connector.options.servers.clone() {
        Servers::Single(endpoint) => Box::new(Single(Node::new(endpoint, connector))),
        Servers::Sentinel { sentinels, master } => Box::new(Sentinel::start(sentinels, master, connector)),
        Servers::Cluster(seeds) => Box::new(Cluster::start(seeds, connector)),
    }
}

/// `WAIT`, if replicas are to confirm: it counts for what was written before it on the same connection.
fn wait_for(replicas: u32, limit: Duration) -> Option<Cmd> {
    let timeout = REPLICAS_TIMEOUT.min(limit / 2).max(Duration::from_millis(1));
    (replicas > 0).then(|| cmd("WAIT").arg(replicas).arg(millis(timeout)).to_owned())
}

/// The reply to [`wait_for`], which is the last one.
fn confirmed(replicas: u32, replies: &mut Replies) -> Result<u32> {
    if replicas == 0 {
        return Ok(0);
    }
    let count: i64 = read(&next(&mut replies.pop().into_iter())?, "a number of replicas")?;
    Ok(u32::try_from(count).unwrap_or_default())
}
