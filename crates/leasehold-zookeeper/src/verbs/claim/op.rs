//! [`ClaimOp`]: one claim under way, and the writes to its node.

use std::sync::Arc;

use leasehold_core::{Binding, Claim, Moment};
use zookeeper_client::{CreateMode, Error as ClientError, Stat};

use crate::{
    client::Client,
    error::{Effect, ServerError},
    format::{NodeData, Phase},
    own_claims::{ClaimGuard, Node, NodeState},
    queue::{Decision, Queue},
    session::LiveSession,
    verbs::release,
};

/// The number of changes by which an observed version may be older than the current one.
const VERSIONS_APART: i32 = 8;

/// One claim under way.
pub(crate) struct ClaimOp<'a> {
    pub(crate) client: &'a Client,
    pub(crate) live: &'a Arc<LiveSession>,
    pub(crate) claim: &'a Claim,
    /// Before anything was sent.
    pub(crate) sent: Moment,
}

impl ClaimOp<'_> {
    /// Sets the content of the node to the claim's, valid at least as long as was promised before.
    pub(crate) fn set_data(&self, node: &mut Node, phase: Phase) {
        let (claim, fence) = (self.claim, node.data.fence);
        node.expires = node.expires.max(self.sent + claim.ttl);
        let expires = node.owner == 0 || claim.ttl < self.live.timeout;
        node.data =
            NodeData { ttl: node.expires.since(self.sent), fence, ..NodeData::of(claim, phase, expires) };
    }

    /// Writes the phase of the claim into its node; whether the node is still there.
    pub(crate) async fn write_phase(
        &self,
        own: &mut ClaimGuard,
        node: &mut Node,
        phase: Phase,
    ) -> Result<bool, ServerError> {
        self.set_data(node, phase);
        self.write(own, node).await
    }

    /// Writes the content of the node; whether the node is still there.
    pub(crate) async fn write(&self, own: &mut ClaimGuard, node: &mut Node) -> Result<bool, ServerError> {
        let data = node.data.write();
        let set = self.live.zk.set_data(&node.path, &data, None);
        let set = self.client.session.in_time(Effect::Writes, set).await?;
        self.was_set(own, node, set)
    }

    /// Records the answer to a write of the node; whether the node is still there.
    pub(crate) fn was_set(
        &self,
        own: &mut ClaimGuard,
        node: &mut Node,
        set: Result<Stat, ClientError>,
    ) -> Result<bool, ServerError> {
        match set.map_err(|error| ServerError::of(error, Effect::Writes)) {
            Ok(stat) => {
                node.version = stat.version;
                self.client.keep(self.claim.id, own, node.clone());
                Ok(true)
            }
            Err(ServerError::NoNode) => {
                own.node = NodeState::Nowhere;
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// Leaves the queue.
    pub(crate) async fn give_up(&self, own: &mut ClaimGuard, node: &Node) -> Result<(), ServerError> {
        own.node = NodeState::InDoubt;
        release::remove(self.client, self.live, node).await?;
        own.node = NodeState::Nowhere;
        Ok(())
    }

    /// Creates the node again, under the same name and so in the same place, ephemeral or persistent as the claim wants;
    /// whether it was there.
    pub(crate) async fn recreate(&self, node: &mut Node) -> Result<bool, ServerError> {
        let (client, live) = (self.client, self.live);
        let (mode, owner) = match self.claim.binding {
            Binding::Ttl => (CreateMode::Persistent, 0),
            Binding::Client => (CreateMode::Ephemeral, live.id),
        };
        let data = NodeData { expires: client.expires(live, self.claim), ..node.data.clone() };
        let fail = |error| ServerError::of(error, Effect::Writes);
        let mut writer = live.zk.new_multi_writer();
        writer.add_delete(&node.path, None).map_err(fail)?;
        writer.add_create(&node.path, &data.write(), &mode.with_acls(client.session.acls())).map_err(fail)?;
        // Versions begin again at 0. A client that is about to delete an expired node does so in the version that it read a
        // moment ago: the new node must not have it.
        let version = if node.version < VERSIONS_APART { 2 * VERSIONS_APART } else { 0 };
        for _ in 0..version {
            writer.add_set_data(&node.path, &data.write(), None).map_err(fail)?;
        }
        let done = client.session.in_time(Effect::Writes, writer.commit()).await?;
        match done.map_err(|failure| fail(failure.into())) {
            Ok(_) => {
                (node.data, node.owner, node.version) = (data, owner, version);
                Ok(true)
            }
            Err(ServerError::NoNode) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Reads the members ahead of the place and decides; deletes those that have expired.
    pub(crate) async fn decision(&self, queue: &Queue, number: i32) -> Result<Decision, ServerError> {
        let (name, mode) = (&self.claim.name, self.claim.mode);
        let ahead = queue.ahead(mode, number);
        let members = self.client.members(self.live, name, &ahead.to_read).await?;
        let decision = ahead.decide(mode, &self.client.paths.lock(name), &members);
        let Decision::Expired(expired) = decision else { return Ok(decision) };
        for (path, version) in expired {
            // A member that was extended meanwhile has another version, and stays.
            match self.client.delete(self.live, &path, Some(version)).await {
                Ok(_) | Err(ServerError::BadVersion) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Decision::Changed)
    }
}
