//! [`Client`]: the state that all operations of one client share, and their requests.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Binding, Capability, Claim, ClaimId, Env, LockName, Moment, Result,
    store_kit::{Subscription, Topic, Waiters},
};
use zookeeper_client::{CreateMode, MultiReadResult, Stat};

use crate::{
    capability,
    error::{Effect, ServerError},
    keys::Paths,
    last_changes::LastChanges,
    node_name::{NodeName, ZooKeeperDialect},
    options::ZooKeeperOptions,
    own_claims::{ClaimGuard, Node, NodeState, OwnClaims},
    queue::Member,
    session::{LiveSession, SessionManager, Watch},
};

/// The number of nodes that are read with one request: with the longest notes half of what a server sends at once.
const READS_MAX: usize = 128;

/// The state that all operations of one client share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) env: Env,
    pub(crate) session: SessionManager,
    pub(crate) paths: Paths,
    pub(crate) dialect: ZooKeeperDialect,
    pub(crate) own_claims: Arc<OwnClaims>,
    pub(crate) last_changes: LastChanges,
    pub(crate) capability: Capability,
}

impl Client {
    /// A client that is not connected, with the capability that it will ask the servers for.
    pub(crate) fn new(options: &ZooKeeperOptions, env: Env) -> Result<Client> {
        options.check()?;
        Ok(Client {
            session: SessionManager::new(options.clone(), env.clone()),
            paths: Paths::new(&options.chroot),
            dialect: options.dialect,
            own_claims: Arc::default(),
            last_changes: LastChanges::default(),
            capability: capability::of(options.dialect, options.session),
            env,
        })
    }

    /// A client that is connected, with the capability that the servers agreed to.
    pub(crate) async fn open(options: &ZooKeeperOptions, env: Env) -> Result<Client> {
        let mut client = Client::new(options, env)?;
        let timeout = client.session.ready().await?.timeout;
        client.capability = capability::of(options.dialect, timeout);
        Ok(client)
    }

    /// The end of a hold that was requested at `sent`: not before its holder's own deadline, and in time for others.
    pub(crate) fn end(&self, sent: Moment, ttl: Duration) -> Moment {
        sent + ttl - self.capability.drift.of(ttl)
    }

    /// The end of a node of ours unless it is extended.
    pub(crate) fn end_of(&self, node: &Node) -> Moment {
        self.end(node.expires, Duration::ZERO)
    }

    /// Records the node of a claim, and schedules its end.
    pub(crate) fn keep(&self, id: ClaimId, own: &mut ClaimGuard, node: Node) {
        self.own_claims.schedule(id, own, self.end_of(&node));
        own.node = NodeState::At(node);
    }

    /// Subscribes a claim: to the notifier of its last answer, or to a new one.
    pub(crate) async fn subscribe(&self, id: ClaimId) -> Subscription<Topic, Watch> {
        let waiters: &Arc<Waiters<Topic, Watch>> = &self.session.waiters;
        let mut own = self.own_claims.known(id).await;
        let answer = own.as_mut().and_then(|own| own.answer.as_mut()).filter(|it| !it.is_subscribed);
        match answer {
            Some(answer) => {
                answer.is_subscribed = true;
                waiters.subscribe_with(Topic::Claim(id), answer.notifier.clone())
            }
            None => waiters.subscribe(Topic::Claim(id)),
        }
    }

    /// Creates the node of a lock, and those above it.
    pub(crate) async fn make_lock(&self, live: &LiveSession, lock: &LockName) -> Result<(), ServerError> {
        let (path, acls) = (self.paths.lock(lock), self.session.acls());
        let container = CreateMode::Container.with_acls(acls);
        let create = || self.session.ask(Effect::Writes, live.zk.create(&path, &[], &container));
        let made = match create().await {
            Err(ServerError::NoNode) => {
                self.make(live, self.paths.root()).await?;
                create().await
            }
            other => other,
        };
        match made {
            Ok(_) | Err(ServerError::NodeExists) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Creates a persistent node, and those above it.
    pub(crate) async fn make(&self, live: &LiveSession, path: &str) -> Result<(), ServerError> {
        if path == "/" {
            return Ok(());
        }
        let persistent = CreateMode::Persistent.with_acls(self.session.acls());
        self.session.ask(Effect::Writes, live.zk.mkdir(path, &persistent)).await
    }

    /// Deletes a node; whether it was there.
    pub(crate) async fn delete(
        &self,
        live: &LiveSession,
        path: &str,
        version: Option<i32>,
    ) -> Result<bool, ServerError> {
        self.last_changes.forget(path);
        match self.session.ask(Effect::Writes, live.zk.delete(path, version)).await {
            Ok(()) => Ok(true),
            Err(ServerError::NoNode) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The children of a lock's node, after all earlier writes of any client; none without a node.
    pub(crate) async fn children(
        &self,
        live: &LiveSession,
        lock: &LockName,
    ) -> Result<Vec<String>, ServerError> {
        let path = self.paths.lock(lock);
        let (synced, listed) = (live.zk.sync(self.paths.root()), live.zk.list_children(&path));
        let both = futures_util::future::join(synced, listed);
        let (synced, listed) = self.session.in_time(Effect::Reads, both).await?;
        match synced.map_err(|error| ServerError::of(error, Effect::Reads)) {
            Ok(()) | Err(ServerError::NoNode) => {}
            Err(other) => return Err(other),
        }
        match listed.map_err(|error| ServerError::of(error, Effect::Reads)) {
            Err(ServerError::NoNode) => Ok(Vec::new()),
            other => other,
        }
    }

    /// The names of a claim's nodes.
    pub(crate) async fn nodes_of(
        &self,
        live: &LiveSession,
        lock: &LockName,
        id: ClaimId,
    ) -> Result<Vec<NodeName>, ServerError> {
        let children = self.children(live, lock).await?;
        let names = children.iter().filter_map(|child| self.dialect.read(child));
        Ok(names.filter(|name| name.id == Some(id)).collect())
    }

    /// Reads children of a lock's node; those that are gone are left out.
    pub(crate) async fn members(
        &self,
        live: &LiveSession,
        lock: &LockName,
        names: &[NodeName],
    ) -> Result<Vec<Member>, ServerError> {
        let directory = self.paths.lock(lock);
        let mut members = Vec::with_capacity(names.len());
        for chunk in names.chunks(READS_MAX) {
            let paths: Vec<String> = chunk.iter().map(|it| format!("{directory}/{}", it.name)).collect();
            let nodes = self.read_all(live, &paths).await?;
            for ((name, path), node) in chunk.iter().zip(paths).zip(nodes) {
                match node {
                    Some((data, stat)) => members.push(self.member(name, path, &data, stat)),
                    None => self.last_changes.forget(&path),
                }
            }
        }
        Ok(members)
    }

    fn member(&self, name: &NodeName, path: String, data: &[u8], stat: Stat) -> Member {
        let mut member = Member::new(name.clone(), path, data, stat);
        let (path, change, now) = (&member.path, member.stat.mzxid, self.env.now());
        member.left = member.ttl().map(|ttl| self.last_changes.left(path, change, ttl, now));
        member
    }

    async fn read_all(
        &self,
        live: &LiveSession,
        paths: &[String],
    ) -> Result<Vec<Option<(Vec<u8>, Stat)>>, ServerError> {
        let mut reader = live.zk.new_multi_reader();
        for path in paths {
            reader.add_get_data(path).map_err(|error| ServerError::of(error, Effect::Reads))?;
        }
        let results = self.session.ask(Effect::Reads, reader.commit()).await?;
        let result = |result| match result {
            MultiReadResult::Data { data, stat } => Ok(Some((data, stat))),
            MultiReadResult::Error { err } => match ServerError::of(err, Effect::Reads) {
                ServerError::NoNode => Ok(None),
                other => Err(other),
            },
            _ => Ok(None),
        };
        results.into_iter().map(result).collect()
    }

    /// Whether other clients delete the hold of this claim when it is not extended: its session may outlive it.
    pub(crate) fn expires(&self, live: &LiveSession, claim: &Claim) -> bool {
        claim.binding == Binding::Ttl || claim.ttl < live.timeout
    }
}

/// Ends the background task that deletes expired nodes.
impl Drop for Client {
    fn drop(&mut self) {
        self.own_claims.changed.notify_one();
    }
}
