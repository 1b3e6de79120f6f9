//! The verb `release`.

use leasehold_core::{Claim, Release, Result};

use crate::{
    client::ClientState,
    error::ServerError,
    in_doubt,
    node_name::NodeKind,
    own_claims::{NodeState, Turn},
    session::LiveSession,
};

/// # Errors
/// See [`Store::release`](leasehold_core::Store::release).
pub(crate) async fn release(shared: &ClientState, claim: &Claim) -> Result<Release> {
    shared.link.refuse_closed()?;
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    let is_new = turn.place == NodeState::Nowhere;
    let released = match shared.link.ready().await {
        Ok(live) => end(shared, &live, claim, &mut turn).await.map_err(ServerError::into_error),
        Err(error) => Err(error),
    };
    if released.is_ok() || is_new {
        shared.registry.forget(claim.id, &mut turn);
    }
    released
}

async fn end(
    shared: &ClientState,
    live: &LiveSession,
    claim: &Claim,
    turn: &mut Turn,
) -> Result<Release, ServerError> {
    let was_there = match turn.place.clone() {
        NodeState::At(node) if node.owner != 0 && node.owner != live.session => false,
        NodeState::At(node) => {
            // When the answer is lost, the next try looks for what is left.
            turn.place = NodeState::Doubt;
            in_doubt::remove(shared, live, &node).await?
        }
        NodeState::Doubt | NodeState::Nowhere => sweep(shared, live, claim).await?,
    };
    Ok(if was_there { Release::Released } else { Release::NotHeld })
}

/// Deletes all nodes of a claim; whether there were any. A delay_marker alone is what keeps the lock shut, and stays.
async fn sweep(shared: &ClientState, live: &LiveSession, claim: &Claim) -> Result<bool, ServerError> {
    let nodes = shared.nodes_of(live, &claim.name, claim.id).await?;
    let directory = shared.paths.lock(&claim.name);
    let mut was_there = false;
    for node in nodes.iter().filter(|node| node.kind == NodeKind::Contender) {
        was_there |= shared.delete(live, &format!("{directory}/{}", node.name), None).await?;
        let is_shadow =
            |it: &&crate::node_name::NodeName| it.kind == NodeKind::DelayMarker && it.number == node.number;
        if let Some(delay_marker) = nodes.iter().find(is_shadow) {
            shared.delete(live, &format!("{directory}/{}", delay_marker.name), None).await?;
        }
    }
    Ok(was_there)
}
