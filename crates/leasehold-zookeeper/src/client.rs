//! [`ClientState`]: what all verbs of one client share.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Capability, Claim, ClaimId, Env, LockName, Moment, Result};
use zookeeper_client::{CreateMode, Stat};

use crate::{
    capability,
    error::{Effect, ServerError},
    keys::Paths,
    last_changes::LastChanges,
    node_name::{Dialect, NodeName},
    options::ZooKeeperOptions,
    own_claims::{Node, NodeState, OwnClaims, Turn},
    session::{LiveSession, SessionManager},
    waiters::WaitSubscription,
};

/// What all verbs of one client share.
#[derive(Debug)]
pub(crate) struct ClientState {
    pub(crate) env: Env,
    pub(crate) link: SessionManager,
    pub(crate) paths: Paths,
    pub(crate) dialect: Dialect,
    pub(crate) registry: Arc<OwnClaims>,
    pub(crate) sights: LastChanges,
    pub(crate) capability: Capability,
}

impl ClientState {
    /// Does not connect: what it can do is what it will ask the servers for.
    pub(crate) fn new(options: &ZooKeeperOptions, env: Env) -> Result<ClientState> {
        options.check()?;
        Ok(ClientState {
            link: SessionManager::new(options.clone(), env.clone()),
            paths: Paths::new(&options.chroot),
            dialect: options.dialect,
            registry: Arc::default(),
            sights: LastChanges::default(),
            capability: capability::of(options.dialect, options.session),
            env,
        })
    }

    /// Connects, and can do what the servers agreed to.
    pub(crate) async fn open(options: &ZooKeeperOptions, env: Env) -> Result<ClientState> {
        let mut shared = ClientState::new(options, env)?;
        let lasts = shared.link.ready().await?.lasts;
        shared.capability = capability::of(options.dialect, lasts);
        Ok(shared)
    }

    /// When a hold that was asked for at `sent` ends: not before its holder's own deadline, and in time for others.
    pub(crate) fn end(&self, sent: Moment, ttl: Duration) -> Moment {
        sent + ttl - self.capability.drift.of(ttl)
    }

    /// The node that remembers the highest token that a floor has raised for a lock.
    pub(crate) fn fence(&self, lock: &LockName) -> String {
        format!("{}/{}", self.paths.lock(lock), self.dialect.fence())
    }

    /// Has the claim looked after when its node ends.
    pub(crate) fn keep(&self, id: ClaimId, turn: &mut Turn, node: Node) {
        self.registry.schedule(id, turn, self.end(node.expires, Duration::ZERO));
        turn.place = NodeState::At(node);
    }

    /// Listens for a claim: to the bell that was set when it was told to wait, or to a new one.
    pub(crate) async fn hear(&self, id: ClaimId) -> WaitSubscription {
        let mut known = self.registry.known(id).await;
        let heard = known.as_mut().and_then(|turn| turn.heard.as_mut()).filter(|heard| !heard.is_hung);
        match heard {
            Some(heard) => {
                heard.is_hung = true;
                self.link.bells.hang_up(id, heard.bell.clone())
            }
            None => self.link.bells.hang(id),
        }
    }

    /// Makes the node of a lock, and those above it.
    pub(crate) async fn make_lock(&self, live: &LiveSession, lock: &LockName) -> Result<(), ServerError> {
        let (path, acls) = (self.paths.lock(lock), self.link.acls());
        let container = CreateMode::Container.with_acls(acls);
        let made = self.link.ask(Effect::Writes, live.client.create(&path, &[], &container)).await;
        match made {
            Err(ServerError::NoNode) => {
                self.make(live, self.paths.root()).await?;
                let made = self.link.ask(Effect::Writes, live.client.create(&path, &[], &container)).await;
                made.map(drop).or_else(is_there)
            }
            other => other.map(drop).or_else(is_there),
        }
    }

    /// Makes a node that stays, and those above it.
    pub(crate) async fn make(&self, live: &LiveSession, path: &str) -> Result<(), ServerError> {
        if path == "/" {
            return Ok(());
        }
        let stays = CreateMode::Persistent.with_acls(self.link.acls());
        self.link.ask(Effect::Writes, live.client.mkdir(path, &stays)).await
    }

    /// Deletes a node, whoever made it; whether it was there.
    pub(crate) async fn delete(
        &self,
        live: &LiveSession,
        path: &str,
        version: Option<i32>,
    ) -> Result<bool, ServerError> {
        self.sights.forget(path);
        match self.link.ask(Effect::Writes, live.client.delete(path, version)).await {
            Ok(()) => Ok(true),
            Err(ServerError::NoNode) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The children of a lock's node, after everything that was done before, by whomever; none where there is no node.
    pub(crate) async fn children(
        &self,
        live: &LiveSession,
        lock: &LockName,
    ) -> Result<Vec<String>, ServerError> {
        let path = self.paths.lock(lock);
        let (synced, listed) = (live.client.sync(self.paths.root()), live.client.list_children(&path));
        let both = futures_util::future::join(synced, listed);
        let (synced, listed) = self.link.in_time(Effect::Reads, both).await?;
        match synced.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
            Ok(()) | Err(ServerError::NoNode) => {}
            Err(other) => return Err(other),
        }
        match listed.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
            Err(ServerError::NoNode) => Ok(Vec::new()),
            other => other,
        }
    }

    /// The nodes of a claim, as the servers have them.
    pub(crate) async fn nodes_of(
        &self,
        live: &LiveSession,
        lock: &LockName,
        id: ClaimId,
    ) -> Result<Vec<NodeName>, ServerError> {
        let children = self.children(live, lock).await?;
        let names = children.iter().filter_map(|child| self.dialect.read(child));
        Ok(names.filter(|sibling| sibling.id == Some(id)).collect())
    }

    /// Whether others take the hold of this claim away when it is not prolonged: where its session may outlive it.
    pub(crate) fn expires(&self, live: &LiveSession, claim: &Claim) -> bool {
        claim.binding == leasehold_core::Binding::Ttl || claim.ttl < live.lasts
    }
}

/// Whoever looks after the claims ends with the client.
impl Drop for ClientState {
    fn drop(&mut self) {
        self.registry.changed.notify_one();
    }
}

fn is_there(refusal: ServerError) -> Result<(), ServerError> {
    match refusal {
        ServerError::NodeExists => Ok(()),
        other => Err(other),
    }
}

/// The number of a transaction of the servers, as a number of ours.
pub(crate) fn token_of(stat: &Stat) -> u64 {
    u64::try_from(stat.czxid).unwrap_or_default()
}
