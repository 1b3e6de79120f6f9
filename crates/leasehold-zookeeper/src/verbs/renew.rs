//! The operation `renew`.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Moment, Renewal, Result};

use crate::{
    client::Client,
    error::{Effect, ServerError},
    in_doubt,
    own_claims::{ClaimGuard, Node, NodeState},
    session::LiveSession,
    verbs::release,
};

/// Renews all claims with requests that are sent together. A hold that lives by its session is only read, after all earlier
/// writes; one that other clients delete when it does not change is written.
///
/// # Errors
/// See [`Store::renew`](leasehold_core::Store::renew).
pub(crate) async fn renew(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let all = |error: leasehold_core::Error| claims.iter().map(|_| Err(error.clone())).collect();
    if claims.is_empty() {
        return Vec::new();
    }
    let live = match client.session.ready().await {
        Ok(live) => live,
        Err(error) => return all(error),
    };
    // Later reads in this session see all earlier writes. The answers come in order, so the others need not wait for this
    // one; when it fails they do.
    let synced = live.zk.sync(client.paths.root());
    let renewed = join_all(claims.iter().map(|claim| renew_one(client, &live, claim))).await;
    match client.session.ask(Effect::Reads, synced).await {
        Ok(()) | Err(ServerError::NoNode) => renewed,
        Err(error) => all(error.into_error()),
    }
}

async fn renew_one(client: &Client, live: &Arc<LiveSession>, claim: &Claim) -> Result<Renewal> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    let is_new = own.node == NodeState::Nowhere;
    let renewal = extend(client, live, claim, &mut own).await.map_err(ServerError::into_error);
    let is_over = matches!(renewal, Ok(Renewal::Gone(_))) && !is_pending(&own.node);
    if is_over || (is_new && own.node == NodeState::Nowhere) {
        client.own_claims.remove(claim.id, &mut own);
    }
    renewal
}

/// Whether the claim waits or has a request under way: a renewal that finds no hold does not end it.
fn is_pending(node: &NodeState) -> bool {
    match node {
        NodeState::At(node) => !node.is_granted(),
        NodeState::InDoubt => true,
        NodeState::Nowhere => false,
    }
}

async fn extend(
    client: &Client,
    live: &Arc<LiveSession>,
    claim: &Claim,
    own: &mut ClaimGuard,
) -> Result<Renewal, ServerError> {
    let sent = client.env.now();
    let node = match own.node.clone() {
        NodeState::At(node) => Some(node),
        NodeState::InDoubt => None,
        NodeState::Nowhere => in_doubt::find(client, live, claim, sent).await?,
    };
    let Some(node) = node.filter(Node::is_granted) else { return Ok(Renewal::Gone(LostReason::Gone)) };
    if node.is_of_other_session(live) {
        return Ok(Renewal::Gone(LostReason::SessionEnded));
    }
    if client.end_of(&node) <= sent {
        release::expire(client, live, &node).await?;
        own.node = NodeState::Nowhere;
        return Ok(Renewal::Gone(LostReason::Expired));
    }
    let mut node = Node { expires: node.expires.max(sent + claim.ttl), ..node };
    if !confirm(client, live, &mut node, sent).await? {
        own.node = NodeState::Nowhere;
        return Ok(Renewal::Gone(LostReason::Gone));
    }
    let valid_for = node.valid_for(live, sent);
    client.keep(claim.id, own, node);
    Ok(Renewal::Renewed { valid_for })
}

/// Writes or reads the node; whether it is still there.
async fn confirm(
    client: &Client,
    live: &LiveSession,
    node: &mut Node,
    sent: Moment,
) -> Result<bool, ServerError> {
    if !node.data.expires {
        let stat = client.session.ask(Effect::Reads, live.zk.check_stat(&node.path)).await?;
        return Ok(stat.is_some_and(|stat| stat.ephemeral_owner == live.id));
    }
    node.data.ttl = node.expires.since(sent);
    let data = node.data.write();
    let set = live.zk.set_data(&node.path, &data, None);
    match client.session.ask(Effect::Writes, set).await {
        Ok(stat) => {
            node.version = stat.version;
            Ok(true)
        }
        Err(ServerError::NoNode) => Ok(false),
        Err(other) => Err(other),
    }
}
