//! Promise: a hold bound to its time to live outlives its client.

use leasehold_core::{Binding, Claim, ErrorKind, Intent};

use crate::{
    Failure, Scene, Verdict,
    renewal::renewed,
    verdict::{ensure, let_go, refused, take},
};

crate::case::cases![
    a_detached_hold_outlives_its_client [DETACH],
    a_hold_can_be_detached_later [DETACH],
    a_detached_hold_can_be_bound_again [DETACH, SEES_CLOSE],
    a_detached_hold_ends_with_its_ttl [DETACH],
    a_store_without_it_refuses [NO_DETACH],
];

/// Closed and dropped: the ticket is still good, and whoever has it renews and releases.
pub async fn a_detached_hold_outlives_its_client(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..scene.claim(&scene.name()) };
    take(&*one, &claim, "the lock is free").await?;
    outlives(scene, one, &two, &claim).await
}

/// A hold of the client becomes a ticket.
pub async fn a_hold_can_be_detached_later(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = scene.claim(&scene.name());
    take(&*one, &claim, "the lock is free").await?;
    let detached = Claim { binding: Binding::Ttl, intent: Intent::Amend, ..claim };
    take(&*one, &detached, "it holds the lock").await?;
    outlives(scene, one, &two, &detached).await
}

async fn outlives(scene: &Scene, one: crate::Client, two: &crate::Client, claim: &Claim) -> Verdict {
    one.close().await?;
    drop(one);
    refused(&**two, &scene.claim(&claim.name), "a detached hold outlives its client").await?;
    renewed(two, claim, "who has the ticket may renew").await?;
    let_go(&**two, claim).await?;
    take(&**two, &scene.claim(&claim.name), "the ticket was given back").await.map(drop)
}

/// Bound again, it ends with its client again.
pub async fn a_detached_hold_can_be_bound_again(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..scene.claim(&scene.name()) };
    take(&*one, &claim, "the lock is free").await?;
    let bound = Claim { binding: Binding::Client, intent: Intent::Amend, ..claim };
    take(&*one, &bound, "it holds the lock").await?;
    one.close().await?;
    take(&*two, &scene.claim(&bound.name), "the client it was bound to is closed").await.map(drop)
}

/// A ticket is not for ever.
pub async fn a_detached_hold_ends_with_its_ttl(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..scene.brief(&scene.name()) };
    let sent = scene.env().now();
    take(&*one, &claim, "the lock is free").await?;
    one.close().await?;
    drop(one);
    scene.wins(&two, &scene.claim(&claim.name), claim.ttl, "nobody renewed it").await?;
    let lasted = scene.env().now();
    let found = format!("freed after {:?}", lasted.since(sent));
    ensure(
        lasted >= scene.earliest_end(sent, claim.ttl),
        format!("the ticket lasts its {:?}", claim.ttl),
        found,
    )
}

/// What the store cannot do is refused, not forgotten.
pub async fn a_store_without_it_refuses(scene: &Scene) -> Verdict {
    let store = scene.client().await?;
    let claim = Claim { binding: Binding::Ttl, ..scene.claim(&scene.name()) };
    match store.claim(&claim).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => Err(Failure::new("an error of kind Unsupported", format!("{other:?}"))),
    }
}
