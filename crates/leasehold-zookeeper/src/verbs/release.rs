//! The operation `release`, and the background task that releases expired holds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, LostReason, Moment, Release, Result};

use crate::{
    client::Client,
    lock_record::LockRecord,
    own_claims::{ClaimGuard, Node, NodeState, OwnClaims},
};

/// The pause before an expired node that could not be deleted is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    let released = end(client, claim, &mut own).await;
    if own.node == NodeState::Nowhere {
        client.own_claims.remove(claim.id, &mut own);
    }
    released
}

async fn end(client: &Client, claim: &Claim, own: &mut ClaimGuard) -> Result<Release> {
    let lock = client.lock(&claim.name).await?;
    let was_there = match own.node.clone() {
        NodeState::At(node) if node.is_of_other_session(&lock.live) => false,
        NodeState::At(node) => {
            // After a lost answer the next attempt looks for the rest.
            own.node = NodeState::InDoubt;
            lock.remove(&node.name, node.has_delay_marker).await?
        }
        NodeState::InDoubt | NodeState::Nowhere => lock.remove_all(claim.id, true).await?,
    };
    own.node = NodeState::Nowhere;
    Ok(if was_there { Release::Released } else { Release::NotHeld })
}

/// Ends a node whose session or time is over, and returns the reason; its delay marker stays.
pub(crate) async fn end_if_over(
    lock: &LockRecord<'_>,
    own: &mut ClaimGuard,
    node: &Node,
    now: Moment,
) -> Result<Option<LostReason>> {
    let reason = if node.is_of_other_session(&lock.live) {
        LostReason::SessionEnded
    } else if lock.client.end_of(node) <= now {
        // Another client may have extended it.
        let version = (node.owner == 0).then_some(node.version);
        lock.live.delete(&lock.child(&node.name.name), version).await?;
        LostReason::Expired
    } else {
        return Ok(None);
    };
    own.node = NodeState::Nowhere;
    Ok(Some(reason))
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
    match end_expired(client, id, &mut own).await {
        Ok(Some(again)) => client.own_claims.schedule(id, again),
        Err(error) if client.session.state.check_open().is_ok() => {
            tracing::debug!(?error, "an expired node cannot be deleted yet");
            client.own_claims.schedule(id, client.env.now() + RETRY_PAUSE);
        }
        _ => client.own_claims.remove(id, &mut own),
    }
}

/// Deletes the node of a claim; its later end if it was extended meanwhile.
async fn end_expired(client: &Arc<Client>, id: ClaimId, own: &mut ClaimGuard) -> Result<Option<Moment>> {
    match own.node.clone() {
        NodeState::Nowhere => {}
        NodeState::At(node) if client.end_of(&node) > client.env.now() => {
            return Ok(Some(client.end_of(&node)));
        }
        NodeState::At(node) => {
            let lock = client.lock(&own.lock).await?;
            let reason = end_if_over(&lock, own, &node, client.env.now()).await?;
            if reason == Some(LostReason::Expired) && node.has_delay_marker {
                delete_later(client, lock.child(&node.name.delay_marker()), node.data.lock_delay);
            }
        }
        NodeState::InDoubt => drop(client.lock(&own.lock).await?.remove_all(id, false).await?),
    }
    Ok(None)
}

/// Deletes a delay marker when the lock-delay is over. Waiters of other clients do the same if this client is gone by then.
fn delete_later(client: &Arc<Client>, marker: String, delay: Duration) {
    let (env, weak) = (client.env.clone(), Arc::downgrade(client));
    let end = env.now() + delay + client.session.state.capability.drift.of(delay);
    env.clone().spawn(async move {
        env.sleep_until(end).await;
        let Some(client) = weak.upgrade() else { return };
        if let Ok(live) = client.session.ready().await {
            // Another client may have been faster.
            let _ = live.delete(&marker, None).await;
        }
    });
}
