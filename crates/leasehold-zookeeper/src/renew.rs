//! The verb `renew`.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Renewal, Result};

use crate::{
    find,
    link::Live,
    refusal::{Effect, Refusal},
    registry::{Node, Place, Turn},
    shared::Shared,
};

/// Prolongs all of them with requests that are sent together. A hold that lives by its session is only looked at, after
/// everything that was done before; one that others take away when it does not change is written.
///
/// # Errors
/// See [`Store::renew`](leasehold_core::Store::renew).
pub(crate) async fn renew(shared: &Shared, claims: &[Claim]) -> Vec<Result<Renewal>> {
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
        Ok(()) | Err(Refusal::NoNode) => renewed,
        Err(refusal) => all(claims, &refusal.into_error()),
    }
}

/// The same failure for each of them.
fn all(claims: &[Claim], error: &leasehold_core::Error) -> Vec<Result<Renewal>> {
    let again = || leasehold_core::Error::new(error.kind(), error.to_string());
    let hint = |error: leasehold_core::Error| error.hint("see the message");
    claims.iter().map(|_| Err(hint(again()))).collect()
}

async fn renew_one(shared: &Shared, live: &Arc<Live>, claim: &Claim) -> Result<Renewal> {
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    let is_new = turn.place == Place::Nowhere;
    let renewal = prolong(shared, live, claim, &mut turn).await.map_err(Refusal::into_error);
    let is_over = matches!(renewal, Ok(Renewal::Gone(_))) && !waits(&turn.place);
    if is_over || (is_new && turn.place == Place::Nowhere) {
        shared.registry.forget(claim.id, &mut turn);
    }
    renewal
}

/// A place in the queue, or a question under way, is not given up by a renewal that finds no hold.
fn waits(place: &Place) -> bool {
    match place {
        Place::At(node) => !node.is_granted(),
        Place::Doubt => true,
        Place::Nowhere => false,
    }
}

async fn prolong(
    shared: &Shared,
    live: &Arc<Live>,
    claim: &Claim,
    turn: &mut Turn,
) -> Result<Renewal, Refusal> {
    let sent = shared.env.now();
    let node = match turn.place.clone() {
        Place::At(node) => node,
        Place::Doubt => return Ok(Renewal::Gone(LostReason::Gone)),
        Place::Nowhere => match find::find(shared, live, claim, sent).await? {
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
        find::expire(shared, live, &node).await?;
        turn.place = Place::Nowhere;
        return Ok(Renewal::Gone(LostReason::Expired));
    }
    confirm(shared, live, claim, turn, Node { expires: node.expires.max(sent + claim.ttl), ..node }, sent)
        .await
}

async fn confirm(
    shared: &Shared,
    live: &Live,
    claim: &Claim,
    turn: &mut Turn,
    mut node: Node,
    sent: leasehold_core::Moment,
) -> Result<Renewal, Refusal> {
    let is_there = if node.slip.expires {
        node.slip.ttl = node.expires.since(sent);
        let data = node.slip.write();
        let set = live.client.set_data(&node.path, &data, None);
        match shared.link.ask(Effect::Writes, set).await {
            Ok(stat) => {
                node.version = stat.version;
                true
            }
            Err(Refusal::NoNode) => false,
            Err(other) => return Err(other),
        }
    } else {
        let seen = shared.link.ask(Effect::Reads, live.client.check_stat(&node.path)).await?;
        seen.is_some_and(|stat| stat.ephemeral_owner == live.session)
    };
    if !is_there {
        turn.place = Place::Nowhere;
        return Ok(Renewal::Gone(LostReason::Gone));
    }
    let left = node.expires.since(sent);
    let valid_for = if node.owner == 0 { left } else { left.min(live.lasts) };
    shared.keep(claim.id, turn, node);
    Ok(Renewal::Renewed { valid_for })
}
