//! The operation `release`, and the background task that releases expired holds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, LockName, Release, Result};

use crate::{
    client::Client,
    error::{Effect, ServerError},
    node_name::{NodeKind, NodeName},
    own_claims::{ClaimGuard, Node, NodeState, OwnClaims},
    session::LiveSession,
};

/// The pause before an expired node that could not be deleted is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// # Errors
/// See [`Store::release`](leasehold_core::Store::release).
pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    let is_new = own.node == NodeState::Nowhere;
    let released = match client.session.ready().await {
        Ok(live) => end(client, &live, claim.id, &mut own).await.map_err(ServerError::into_error),
        Err(error) => Err(error),
    };
    if released.is_ok() || is_new {
        client.own_claims.remove(claim.id, &mut own);
    }
    released
}

async fn end(
    client: &Client,
    live: &LiveSession,
    id: ClaimId,
    own: &mut ClaimGuard,
) -> Result<Release, ServerError> {
    let was_there = match own.node.clone() {
        NodeState::At(node) if node.is_of_other_session(live) => false,
        NodeState::At(node) => {
            // After a lost answer the next attempt looks for the rest.
            own.node = NodeState::InDoubt;
            remove(client, live, &node).await?
        }
        NodeState::InDoubt | NodeState::Nowhere => {
            let lock = own.lock.clone();
            remove_all(client, live, &lock, id, true).await?
        }
    };
    Ok(if was_there { Release::Released } else { Release::NotHeld })
}

/// Deletes all nodes of a claim, and their delay markers if the release is orderly; whether there were any. A delay marker
/// without its node keeps the lock closed, and stays.
async fn remove_all(
    client: &Client,
    live: &LiveSession,
    lock: &LockName,
    id: ClaimId,
    is_orderly: bool,
) -> Result<bool, ServerError> {
    let nodes = client.nodes_of(live, lock, id).await?;
    let path = |name: &NodeName| format!("{}/{}", client.paths.lock(lock), name.name);
    let mut was_there = false;
    for node in nodes.iter().filter(|node| node.kind == NodeKind::Contender) {
        was_there |= client.delete(live, &path(node), None).await?;
        let is_marker = |it: &&NodeName| it.kind == NodeKind::DelayMarker && it.number == node.number;
        if let Some(marker) = nodes.iter().find(is_marker).filter(|_| is_orderly) {
            client.delete(live, &path(marker), None).await?;
        }
    }
    Ok(was_there)
}

/// Deletes a node and its delay marker; whether the node was there.
pub(crate) async fn remove(client: &Client, live: &LiveSession, node: &Node) -> Result<bool, ServerError> {
    let Some(marker) = &node.delay_marker else { return client.delete(live, &node.path, None).await };
    let mut writer = live.zk.new_multi_writer();
    for path in [&node.path, marker] {
        writer.add_delete(path, None).map_err(|error| ServerError::of(error, Effect::Writes))?;
    }
    let done = client.session.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| ServerError::of(failure.into(), Effect::Writes)) {
        Ok(_) => Ok(true),
        // One of the two is gone. If it is the node, its hold has ended already, and the marker stays.
        Err(ServerError::NoNode) => client.delete(live, &node.path, None).await,
        Err(other) => Err(other),
    }
}

/// Ends a hold whose time is over, unless another client has extended it; its delay marker stays.
pub(crate) async fn expire(client: &Client, live: &LiveSession, node: &Node) -> Result<(), ServerError> {
    let version = (node.owner == 0).then_some(node.version);
    match client.delete(live, &node.path, version).await {
        Ok(_) | Err(ServerError::BadVersion) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Deletes in time the nodes of claims that are not renewed, and the rest of abandoned requests, until the client is
/// dropped.
pub(crate) async fn release_expired(client: Weak<Client>, own_claims: Arc<OwnClaims>, env: Env) {
    loop {
        let changed = own_claims.changed.notified();
        match own_claims.sleep_until() {
            Some(next) => drop(env.until(next, changed).await),
            None => changed.await,
        }
        let Some(client) = client.upgrade() else { return };
        for id in own_claims.due(env.now()) {
            let client = client.clone();
            env.spawn(async move { timer_expired(&client, id).await });
        }
    }
}

async fn timer_expired(client: &Arc<Client>, id: ClaimId) {
    let Some(mut own) = client.own_claims.known(id).await else { return };
    let now = client.env.now();
    // It was extended meanwhile.
    if let NodeState::At(node) = &own.node
        && client.end_of(node) > now
    {
        let end = client.end_of(node);
        return client.own_claims.schedule(id, &mut own, end);
    }
    match end_expired(client, id, &own).await {
        Err(error) if client.session.check_open().is_ok() => {
            tracing::debug!(?error, "an expired node cannot be deleted yet");
            let again = client.env.now() + RETRY_PAUSE;
            client.own_claims.schedule(id, &mut own, again);
        }
        _ => client.own_claims.remove(id, &mut own),
    }
}

async fn end_expired(client: &Arc<Client>, id: ClaimId, own: &ClaimGuard) -> Result<(), ServerError> {
    if own.node == NodeState::Nowhere {
        return Ok(());
    }
    let live = client.session.ready().await?;
    match &own.node {
        NodeState::At(node) if node.is_of_other_session(&live) => {}
        NodeState::At(node) => {
            expire(client, &live, node).await?;
            if let Some(marker) = &node.delay_marker {
                delete_later(client, marker.clone(), node.data.lock_delay);
            }
        }
        _ => drop(remove_all(client, &live, &own.lock, id, false).await?),
    }
    Ok(())
}

/// Deletes a delay marker when the lock-delay is over. Waiters of other clients do the same if this client is gone by then.
fn delete_later(client: &Arc<Client>, marker: String, delay: Duration) {
    let (env, weak) = (client.env.clone(), Arc::downgrade(client));
    let end = env.now() + delay + client.capability.drift.of(delay);
    env.clone().spawn(async move {
        env.sleep_until(end).await;
        let Some(client) = weak.upgrade() else { return };
        if let Ok(live) = client.session.ready().await {
            // Another client may have been faster.
            let _ = client.delete(&live, &marker, None).await;
        }
    });
}
