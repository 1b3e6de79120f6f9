//! The operation `release`, and the background task that releases expired holds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, LostReason, Moment, Release, Result};

use crate::{
    client::Client,
    error::unless_gone,
    lock_record::LockRecord,
    own_claims::{ClaimGuard, Node, NodeState, OwnClaim, OwnClaims},
    txn::LiveSession,
};

/// The pause before an expired node that could not be deleted is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// # Errors
/// See [`Store::release`](leasehold_core::Store::release).
pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    let is_new = own.node == NodeState::Nowhere;
    let was_there = end(client, claim, &mut own).await;
    if was_there.is_ok() || is_new {
        client.own_claims.remove(claim.id, &mut own);
    }
    was_there.map(|was_there| if was_there { Release::Released } else { Release::NotHeld })
}

async fn end(client: &Client, claim: &Claim, own: &mut ClaimGuard) -> Result<bool> {
    let lock = client.lock(&claim.name).await?;
    match own.node.clone() {
        NodeState::At(node) if node.is_of_other_session(&lock.live) => Ok(false),
        NodeState::At(node) => {
            // After a lost answer the next attempt looks for the rest.
            own.node = NodeState::InDoubt;
            remove(&lock.live, &node).await
        }
        NodeState::InDoubt | NodeState::Nowhere => lock.remove_all(claim.id, true).await,
    }
}

/// Deletes a node and its delay marker; whether the node was there.
pub(crate) async fn remove(live: &LiveSession, node: &Node) -> Result<bool> {
    if let Some(marker) = &node.delay_marker {
        let done = live.transact(|writer| {
            writer.add_delete(&node.path, None)?;
            writer.add_delete(marker, None)
        });
        if unless_gone(done.await)?.is_some() {
            return Ok(true);
        }
        // One of the two is gone. If it is the node, its hold has ended already, and the marker stays.
    }
    live.delete(&node.path, None).await
}

/// Ends a node whose session or time is over, and returns the reason.
pub(crate) async fn end_if_over(
    lock: &LockRecord<'_>,
    own: &mut ClaimGuard,
    node: &Node,
    now: Moment,
) -> Result<Option<LostReason>> {
    let reason = if node.is_of_other_session(&lock.live) {
        LostReason::SessionEnded
    } else if lock.client.end_of(node) <= now {
        expire(&lock.live, node).await?;
        LostReason::Expired
    } else {
        return Ok(None);
    };
    own.node = NodeState::Nowhere;
    Ok(Some(reason))
}

/// Ends a hold whose time is over, unless another client has extended it; its delay marker stays.
async fn expire(live: &LiveSession, node: &Node) -> Result<bool> {
    live.delete(&node.path, (node.owner == 0).then_some(node.version)).await
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
    match end_expired(client, id, &own).await {
        Ok(Some(again)) => client.own_claims.schedule(id, again),
        Err(error) if client.session.check_open().is_ok() => {
            tracing::debug!(?error, "an expired node cannot be deleted yet");
            client.own_claims.schedule(id, client.env.now() + RETRY_PAUSE);
        }
        _ => client.own_claims.remove(id, &mut own),
    }
}

/// Deletes the node of a claim; its later end if it was extended meanwhile.
async fn end_expired(client: &Arc<Client>, id: ClaimId, own: &OwnClaim) -> Result<Option<Moment>> {
    match &own.node {
        NodeState::Nowhere => return Ok(None),
        NodeState::At(node) if client.end_of(node) > client.env.now() => {
            return Ok(Some(client.end_of(node)));
        }
        _ => {}
    }
    let lock = client.lock(&own.lock).await?;
    match &own.node {
        NodeState::At(node) if node.is_of_other_session(&lock.live) => {}
        NodeState::At(node) => {
            expire(&lock.live, node).await?;
            if let Some(marker) = &node.delay_marker {
                delete_later(client, marker.clone(), node.data.lock_delay);
            }
        }
        _ => drop(lock.remove_all(id, false).await?),
    }
    Ok(None)
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
            let _ = live.delete(&marker, None).await;
        }
    });
}
