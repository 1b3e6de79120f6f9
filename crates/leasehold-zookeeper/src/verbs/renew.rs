//! The verb `renew`.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Renewal, Result};

use crate::{
    client::ClientState,
    error::{Effect, ServerError},
    in_doubt,
    own_claims::{Node, NodeState, Turn},
    session::LiveSession,
};

/// Prolongs all of them with requests that are sent together. A hold that lives by its session is only looked at, after
/// everything that was done before; one that others take away when it does not change is written.
///
/// # Errors
/// See [`Store::renew`](leasehold_core::Store::renew).
pub(crate) async fn renew(shared: &ClientState, claims: &[Claim]) -> Vec<Result<Renewal>> {
    if claims.is_empty() {
        return Vec::new();
    }
    let live = match shared.link.ready().await {
        Ok(live) => live,
        Err(error) => return all(claims, &error),
    };
    // Whoever looks afterwards in this session sees what was done before. The answers come in order, so nobody waits for
    // this one; it fails when they do.
    let synced = live.client.sync(shared.paths.root());
    let renewed = join_all(claims.iter().map(|claim| renew_one(shared, &live, claim))).await;
    match shared.link.ask(Effect::Reads, synced).await {
        Ok(()) | Err(ServerError::NoNode) => renewed,
        Err(refusal) => all(claims, &refusal.into_error()),
    }
}

/// The same failure for each of them.
fn all(claims: &[Claim], error: &leasehold_core::Error) -> Vec<Result<Renewal>> {
    let again = || leasehold_core::Error::new(error.kind(), error.to_string());
    let hint = |error: leasehold_core::Error| error.hint("see the message");
    claims.iter().map(|_| Err(hint(again()))).collect()
}

async fn renew_one(shared: &ClientState, live: &Arc<LiveSession>, claim: &Claim) -> Result<Renewal> {
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    let is_new = turn.place == NodeState::Nowhere;
    let renewal = prolong(shared, live, claim, &mut turn).await.map_err(ServerError::into_error);
    let is_over = matches!(renewal, Ok(Renewal::Gone(_))) && !waits(&turn.place);
    if is_over || (is_new && turn.place == NodeState::Nowhere) {
        shared.registry.forget(claim.id, &mut turn);
    }
    renewal
}

/// A place in the queue, or a question under way, is not given up by a renewal that finds no hold.
fn waits(place: &NodeState) -> bool {
    match place {
        NodeState::At(node) => !node.is_granted(),
        NodeState::Doubt => true,
        NodeState::Nowhere => false,
    }
}

async fn prolong(
    shared: &ClientState,
    live: &Arc<LiveSession>,
    claim: &Claim,
    turn: &mut Turn,
) -> Result<Renewal, ServerError> {
    let sent = shared.env.now();
    let node = match turn.place.clone() {
        NodeState::At(node) => node,
        NodeState::Doubt => return Ok(Renewal::Gone(LostReason::Gone)),
        NodeState::Nowhere => match in_doubt::find(shared, live, claim, sent).await? {
            Some(node) if node.is_granted() => node,
            _ => return Ok(Renewal::Gone(LostReason::Gone)),
        },
    };
    if !node.is_granted() {
        return Ok(Renewal::Gone(LostReason::Gone));
    }
    if node.owner != 0 && node.owner != live.session {
        return Ok(Renewal::Gone(LostReason::SessionEnded));
    }
    if shared.end(node.expires, std::time::Duration::ZERO) <= sent {
        in_doubt::expire(shared, live, &node).await?;
        turn.place = NodeState::Nowhere;
        return Ok(Renewal::Gone(LostReason::Expired));
    }
    confirm(shared, live, claim, turn, Node { expires: node.expires.max(sent + claim.ttl), ..node }, sent)
        .await
}

async fn confirm(
    shared: &ClientState,
    live: &LiveSession,
    claim: &Claim,
    turn: &mut Turn,
    mut node: Node,
    sent: leasehold_core::Moment,
) -> Result<Renewal, ServerError> {
    let is_there = if node.slip.expires {
        node.slip.ttl = node.expires.since(sent);
        let data = node.slip.write();
        let set = live.client.set_data(&node.path, &data, None);
        match shared.link.ask(Effect::Writes, set).await {
            Ok(stat) => {
                node.version = stat.version;
                true
            }
            Err(ServerError::NoNode) => false,
            Err(other) => return Err(other),
        }
    } else {
        let seen = shared.link.ask(Effect::Reads, live.client.check_stat(&node.path)).await?;
        seen.is_some_and(|stat| stat.ephemeral_owner == live.session)
    };
    if !is_there {
        turn.place = NodeState::Nowhere;
        return Ok(Renewal::Gone(LostReason::Gone));
    }
    let left = node.expires.since(sent);
    let valid_for = if node.owner == 0 { left } else { left.min(live.lasts) };
    shared.keep(claim.id, turn, node);
    Ok(Renewal::Renewed { valid_for })
}
