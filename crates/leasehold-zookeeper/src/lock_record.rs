//! [`LockRecord`]: the node of one lock and its children, through a session that is alive.

use std::sync::Arc;

use leasehold_core::{ClaimId, Error, ErrorKind, LockName, Result};
use zookeeper_client::{CreateMode, MultiReadResult, MultiReader};

use crate::{
    client::Client,
    dialect::NodeName,
    error::{ServerError, unless_gone},
    queue::Member,
    txn::LiveSession,
};

/// The number of nodes that are read with one request: with the longest notes half of what a server sends at once.
const READS_MAX: usize = 128;

/// The node of one lock.
pub(crate) struct LockRecord<'a> {
    pub(crate) client: &'a Client,
    pub(crate) live: Arc<LiveSession>,
    pub(crate) path: String,
}

/// The highest raised token of a lock, and the version of the node that records it.
pub(crate) type Raised = Option<(u64, i32)>;

impl Client {
    /// A lock, through the present session.
    pub(crate) async fn lock(&self, name: &LockName) -> Result<LockRecord<'_>> {
        let live = self.session.ready().await?;
        Ok(LockRecord { client: self, live, path: self.paths.lock(name) })
    }
}

impl LockRecord<'_> {
    /// The path of a child.
    pub(crate) fn child(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Creates the node, and those above it.
    pub(crate) async fn make(&self) -> Result<()> {
        let create = || self.live.create(&self.path, &[], CreateMode::Container);
        if unless_gone(create().await)?.is_none() {
            let persistent = CreateMode::Persistent.with_acls(self.live.acls);
            let made = self.live.zk.mkdir(self.client.paths.root(), &persistent);
            self.live.write(made).await?;
            create().await?;
        }
        Ok(())
    }

    /// The names of the children, after all earlier writes of any client; none without a node.
    pub(crate) async fn children(&self) -> Result<Vec<String>> {
        self.live.children(self.client.paths.root(), &self.path).await
    }

    /// Reads children; those that are gone are left out.
    pub(crate) async fn members(&self, names: &[NodeName]) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(names.len());
        for names in names.chunks(READS_MAX) {
            let paths: Vec<String> = names.iter().map(|it| self.child(&it.name)).collect();
            let nodes = self.live.read_all(&paths, MultiReader::add_get_data).await?;
            for ((name, path), node) in names.iter().zip(paths).zip(nodes) {
                match node {
                    MultiReadResult::Data { data, stat } => {
                        let mut member = Member::new(name.clone(), &data, stat);
                        member.left = member.ttl().map(|ttl| self.client.left(path, member.stat.mzxid, ttl));
                        members.push(member);
                    }
                    MultiReadResult::Error { err } => {
                        unless_gone::<()>(Err(ServerError::reading(err)))?;
                    }
                    _ => {}
                }
            }
        }
        Ok(members)
    }

    /// Deletes a node and its delay marker; whether the node was there.
    pub(crate) async fn remove(&self, node: &NodeName, has_delay_marker: bool) -> Result<bool> {
        let path = self.child(&node.name);
        if has_delay_marker {
            let done = self.live.transact(|writer| {
                writer.add_delete(&path, None)?;
                writer.add_delete(&self.child(&node.delay_marker()), None)
            });
            if unless_gone(done.await)?.is_some() {
                return Ok(true);
            }
            // One of the two is gone. If it is the node, its hold has ended already, and the marker stays.
        }
        self.live.delete(&path, None).await
    }

    /// Deletes all nodes of a claim, and their delay markers if the release is orderly; whether there were any. A delay
    /// marker without its node keeps the lock closed, and stays.
    pub(crate) async fn remove_all(&self, id: ClaimId, is_orderly: bool) -> Result<bool> {
        let children = self.children().await?;
        let nodes = children.iter().filter_map(|child| self.client.dialect.read(child));
        let mut was_there = false;
        for node in nodes.filter(|it| it.is_of(id)) {
            was_there |= self.remove(&node, is_orderly && children.contains(&node.delay_marker())).await?;
        }
        Ok(was_there)
    }

    /// Reads the raised token.
    pub(crate) async fn raised(&self) -> Result<Raised> {
        let Some((data, stat)) = self.live.get(&self.child(self.client.dialect.fence())).await? else {
            return Ok(None);
        };
        let number = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
        let corrupt = || Error::new(ErrorKind::Corrupt, "the node of the fencing counter is no number");
        Ok(Some((number.ok_or_else(corrupt)?, stat.version)))
    }

    /// The same if its node is among the children: where no token was ever raised, nothing is sent.
    pub(crate) async fn raised_among(&self, children: &[String]) -> Result<Raised> {
        let is_there = children.iter().any(|child| child == self.client.dialect.fence());
        if is_there { self.raised().await } else { Ok(None) }
    }
}
