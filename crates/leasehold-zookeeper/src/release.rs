//! The verb `release`.

use leasehold_core::{Claim, Release, Result};

use crate::{
    find,
    link::Live,
    refusal::Refusal,
    registry::{Place, Turn},
    shared::Shared,
    sibling::Kind,
};

/// # Errors
/// See [`Store::release`](leasehold_core::Store::release).
pub(crate) async fn release(shared: &Shared, claim: &Claim) -> Result<Release> {
    shared.link.refuse_closed()?;
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    let is_new = turn.place == Place::Nowhere;
    let released = match shared.link.ready().await {
        Ok(live) => end(shared, &live, claim, &mut turn).await.map_err(Refusal::into_error),
        Err(error) => Err(error),
    };
    if released.is_ok() || is_new {
        shared.registry.forget(claim.id, &mut turn);
    }
    released
}

async fn end(shared: &Shared, live: &Live, claim: &Claim, turn: &mut Turn) -> Result<Release, Refusal> {
    let was_there = match turn.place.clone() {
        Place::At(node) if node.owner != 0 && node.owner != live.session => false,
        Place::At(node) => {
            // When the answer is lost, the next try looks for what is left.
            turn.place = Place::Doubt;
            find::remove(shared, live, &node).await?
        }
        Place::Doubt | Place::Nowhere => sweep(shared, live, claim).await?,
    };
    Ok(if was_there { Release::Released } else { Release::NotHeld })
}

/// Deletes all nodes of a claim; whether there were any. A shadow alone is what keeps the lock shut, and stays.
async fn sweep(shared: &Shared, live: &Live, claim: &Claim) -> Result<bool, Refusal> {
    let nodes = shared.nodes_of(live, &claim.name, claim.id).await?;
    let directory = shared.paths.lock(&claim.name);
    let mut was_there = false;
    for node in nodes.iter().filter(|node| node.kind == Kind::Contender) {
        was_there |= shared.delete(live, &format!("{directory}/{}", node.name), None).await?;
        let is_shadow = |it: &&crate::sibling::Sibling| it.kind == Kind::Shadow && it.number == node.number;
        if let Some(shadow) = nodes.iter().find(is_shadow) {
            shared.delete(live, &format!("{directory}/{}", shadow.name), None).await?;
        }
    }
    Ok(was_there)
}
