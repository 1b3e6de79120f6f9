//! [`ClientState`]: the state that all verbs of one client share.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{
    Capability, Claim, ClaimId, Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{self, InDoubt, Locked, in_time},
};
use redis::{Cmd, Value, cmd};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    dialect::{Announcement, Dialect, native::Native, plain::Plain},
    format::{Reply, Request, first, number},
    keys::inbox,
    options::{self, RedisOptions},
    pubsub::PubSub,
    quorum_membership,
    topology::Router,
    transport::Node,
};

/// More claims in doubt than these are not recorded: their ids are not refused if their requests arrive late.
const IN_DOUBT_MAX: usize = 1 << 16;
/// The longest wait for the confirmation of replicas.
const REPLICAS_TIMEOUT: Duration = Duration::from_secs(1);

/// The state of one client.
#[derive(Debug)]
pub(crate) struct ClientState {
    pub(crate) options: RedisOptions,
    pub(crate) capability: Capability,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) env: Env,
    pub(crate) router: Router,
    pub(crate) revalidations: Revalidations,
    /// Claims with a request that may still arrive.
    pub(crate) in_doubt: InDoubt,
    /// Claims that wait for a wake-up, each with the key by which an unannounced holder keeps it out, if one does.
    pub(crate) foreign_holders: Locked<HashMap<ClaimId, Option<String>>>,
    id: u64,
    /// One subscription connection for each server that this client listens to.
    pubsubs: Locked<Vec<Arc<PubSub>>>,
    connecting: AsyncMutex<()>,
    life: store_kit::ClientState,
}

impl ClientState {
    pub(crate) fn new(
        options: RedisOptions,
        router: Router,
        env: Env,
        revalidations: Revalidations,
    ) -> ClientState {
        let dialect: Box<dyn Dialect> = match &options.dialect {
            options::Dialect::Native => {
                Box::new(Native::new(options.membership.map(quorum_membership::unknown_run)))
            }
            options::Dialect::Plain { template } => Box::new(Plain::new(template)),
        };
        ClientState {
            capability: options.capability(),
            dialect,
            options,
            id: (env.random() >> 64) as u64,
            env,
            router,
            revalidations,
            in_doubt: InDoubt::new(IN_DOUBT_MAX),
            foreign_holders: Locked::default(),
            pubsubs: Locked::default(),
            connecting: AsyncMutex::default(),
            life: store_kit::ClientState::default(),
        }
    }

    /// # Errors
    /// [`ErrorKind::Closed`] once the client is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.life.check_open().map_err(|error| error.store(&*self.options.url))
    }

    pub(crate) fn close(&self) {
        if self.life.close() {
            self.router.topology.close();
            self.pubsubs.lock().clear();
        }
    }

    // Requests.

    /// Sends a request about a lock, and answers a reply for each command.
    pub(crate) async fn send(&self, slot: u16, request: Request<'_>) -> Result<Vec<Reply>> {
        self.router.run(slot, request, self.options.timeout).await
    }

    /// The same for a request that writes: with the number of replicas that confirmed it. None is asked to unless
    /// `min_replicas` is set.
    pub(crate) async fn send_confirmed(
        &self,
        slot: u16,
        mut request: Request<'_>,
        limit: Duration,
    ) -> Result<(Vec<Reply>, u32)> {
        let wanted = self.options.min_replicas;
        if wanted == 0 {
            return Ok((self.router.run(slot, request, limit).await?, 0));
        }
        request.commands.push(wait_for(wanted, limit));
        let mut replies = self.router.run(slot, request, limit).await?;
        let confirmed = acknowledged(replies.pop())?;
        Ok((replies, confirmed))
    }

    /// The failure of a grant or a renewal that too few replicas have.
    pub(crate) fn too_few_replicas(&self, confirmed: u32) -> Error {
        let message = format!("{confirmed} of {} replicas confirmed it", self.options.min_replicas);
        Error::new(ErrorKind::NoQuorum, message)
            .hint("bring replicas back, or lower min_replicas and accept that a failover may lose the lock")
    }

    /// All masters, if they are found in time.
    pub(crate) async fn masters(&self) -> Result<Vec<Arc<Node>>> {
        let masters = self.env.until(self.env.now() + self.options.timeout, self.router.topology.masters());
        masters.await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::TimedOut, "no master was found in time")
                .hint("are the servers running?"))
        })
    }

    // Claims in doubt.

    /// Records that a request of this claim may still arrive, if the outcome is unknown.
    pub(crate) fn mark_in_doubt<T>(&self, claim: &Claim, result: &Result<T>) {
        let now = self.env.now();
        self.in_doubt.mark_unknown(claim.id, result, now + claim.ttl * 2, now);
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
        let is_subscribed = self.pubsubs.lock().iter().any(|pubsub| pubsub.has_joined(&inbox));
        if is_subscribed { inbox } else { String::new() }
    }

    /// Whether waiters hear of unannounced changes.
    pub(crate) fn tracks(&self) -> bool {
        self.pubsubs.lock().iter().any(|pubsub| !pubsub.is_broken() && pubsub.tracks())
    }

    /// The subscription connection for a slot, subscribed to `channel`, or to the client's inbox.
    pub(crate) async fn subscribe(&self, slot: u16, channel: Option<String>) -> Result<Arc<PubSub>> {
        let route = self.router.topology.route(slot);
        let node = in_time(&self.env, self.options.timeout, "master to subscribe at", route).await??;
        let pubsub = self.pubsub(&node).await?;
        // Known only after the first connection to a Cluster.
        let sharded = self.router.topology.has_sharded_channels();
        let channel = channel.unwrap_or_else(|| self.inbox_of(slot));
        let joined = pubsub.join(&channel, sharded).await;
        joined.inspect_err(|_| self.router.topology.suspect(&node))?;
        Ok(pubsub)
    }

    async fn pubsub(&self, node: &Arc<Node>) -> Result<Arc<PubSub>> {
        let current = || {
            let mut pubsubs = self.pubsubs.lock();
            pubsubs.retain(|pubsub| !pubsub.is_broken());
            pubsubs.iter().find(|pubsub| Arc::ptr_eq(pubsub.node(), node)).cloned()
        };
        if let Some(pubsub) = current() {
            return Ok(pubsub);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(pubsub) = current() {
            return Ok(pubsub);
        }
        let pubsub = PubSub::start(node.clone(), self.env.clone()).await;
        let pubsub = pubsub.inspect_err(|_| self.router.topology.suspect(node))?;
        self.check_open()?;
        self.pubsubs.lock().push(pubsub.clone());
        Ok(pubsub)
    }
}

/// `WAIT`: it counts for what was written before it on the same connection.
fn wait_for(replicas: u32, limit: Duration) -> Cmd {
    let mut wait = cmd("WAIT");
    let timeout = REPLICAS_TIMEOUT.min(limit / 2).max(Duration::from_millis(1));
    wait.arg(replicas).arg(u64::try_from(timeout.as_millis()).unwrap_or(1));
    wait
}

/// The reply to `WAIT`.
fn acknowledged(reply: Option<Reply>) -> Result<u32> {
    let value: Value = first(&mut reply.into_iter().collect())?;
    Ok(u32::try_from(number(Some(&value))?).unwrap_or_default())
}
