//! The operation `renew`.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Renewal, Result};

use crate::{
    client::Client,
    error::unless_gone,
    lock_record::LockRecord,
    own_claims::{ClaimGuard, Node, NodeState},
    txn::LiveSession,
    verbs::{claim::ClaimOp, release},
};

/// Renews all claims with requests that are sent together. A hold that lives by its session is only read, after all earlier
/// writes; one that other clients delete when it does not change is written.
pub(crate) async fn renew(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    if claims.is_empty() {
        return Vec::new();
    }
    renew_all(client, claims).await.unwrap_or_else(|error| vec![Err(error); claims.len()])
}

async fn renew_all(client: &Client, claims: &[Claim]) -> Result<Vec<Result<Renewal>>> {
    let live = client.session.ready().await?;
    // Later reads in this session see all earlier writes. The answers come in order, so the others need not wait for this
    // one; when it fails they do.
    let synced = live.zk.sync(client.paths.root());
    let renewed = join_all(claims.iter().map(|claim| renew_one(client, &live, claim))).await;
    unless_gone(live.read(synced).await)?;
    Ok(renewed)
}

async fn renew_one(client: &Client, live: &Arc<LiveSession>, claim: &Claim) -> Result<Renewal> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    let lock = LockRecord { client, live: live.clone(), path: client.paths.lock(&claim.name) };
    let renewal = ClaimOp { lock, claim, sent: client.env.now() }.extend(&mut own).await;
    // A claim that waits or has a request under way is not ended by a renewal that finds no hold.
    if own.node == NodeState::Nowhere {
        client.own_claims.remove(claim.id, &mut own);
    }
    renewal
}

impl ClaimOp<'_> {
    async fn extend(&self, own: &mut ClaimGuard) -> Result<Renewal> {
        let node = match own.node.clone() {
            NodeState::At(node) => Some(node),
            NodeState::InDoubt => None,
            NodeState::Nowhere => self.find(false).await?,
        };
        let Some(mut node) = node.filter(Node::is_granted) else {
            return Ok(Renewal::Gone(LostReason::Gone));
        };
        if let Some(reason) = release::end_if_over(&self.lock, own, &node, self.sent).await? {
            return Ok(Renewal::Gone(reason));
        }
        node.expires = node.expires.max(self.sent + self.claim.ttl);
        if !self.confirm(own, &mut node).await? {
            own.node = NodeState::Nowhere;
            return Ok(Renewal::Gone(LostReason::Gone));
        }
        let valid_for = node.valid_for(&self.lock.live, self.sent);
        self.keep(own, node);
        Ok(Renewal::Renewed { valid_for })
    }

    /// Writes or reads the node; whether it is still there.
    async fn confirm(&self, own: &mut ClaimGuard, node: &mut Node) -> Result<bool> {
        if node.data.expires {
            node.data.ttl = node.expires.since(self.sent);
            return self.write(own, node).await;
        }
        let live = &self.lock.live;
        let stat = live.read(live.zk.check_stat(&self.lock.child(&node.name.name))).await?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == live.id))
    }
}
