//! Promise: a hold bound to its time to live outlives its client.

use crate::prelude::*;

cases![
    a_detached_hold_outlives_its_client [DETACH],
    a_hold_can_be_detached_later [DETACH],
    a_detached_hold_can_be_bound_again [DETACH, SEES_CLOSE],
    a_detached_hold_ends_with_its_ttl [DETACH],
    a_store_without_it_refuses [NO_DETACH],
];

/// The ticket outlives a closed and dropped client: another client renews and releases with it.
pub async fn a_detached_hold_outlives_its_client(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { binding: Binding::Ttl, ..test.claim(&test.name()) }).await?;
    outlives(test, one, &two, &claim).await
}

/// A hold of the client becomes a ticket.
pub async fn a_hold_can_be_detached_later(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let detached = Claim { binding: Binding::Ttl, intent: Intent::Amend, ..claim };
    take(&one, &detached, "it holds the lock").await?;
    outlives(test, one, &two, &detached).await
}

async fn outlives(test: &Test, one: Client, two: &Client, claim: &Claim) -> CaseResult {
    one.close().await?;
    drop(one);
    refused(two, &test.claim(&claim.name), "a detached hold outlives its client").await?;
    renewed(two, claim, "who has the ticket may renew").await?;
    let_go(two, claim).await?;
    take(two, &test.claim(&claim.name), "the ticket was given back").await.map(drop)
}

/// Bound again, it ends with its client again.
pub async fn a_detached_hold_can_be_bound_again(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { binding: Binding::Ttl, ..test.claim(&test.name()) }).await?;
    let bound = Claim { binding: Binding::Client, intent: Intent::Amend, ..claim };
    take(&one, &bound, "it holds the lock").await?;
    one.close().await?;
    take(&two, &test.claim(&bound.name), "the client it was bound to is closed").await.map(drop)
}

/// A ticket is not for ever.
pub async fn a_detached_hold_ends_with_its_ttl(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = Claim { binding: Binding::Ttl, ..test.brief(&test.name()) };
    let sent = test.now();
    take(&one, &claim, "the lock is free").await?;
    one.close().await?;
    drop(one);
    test.wins(&two, &test.claim(&claim.name), claim.ttl, "nobody renewed it").await?;
    test.expect_not_early(sent, claim.ttl)
}

/// Unsupported options are refused, not ignored.
pub async fn a_store_without_it_refuses(test: &Test, store: Client) -> CaseResult {
    let claim = Claim { binding: Binding::Ttl, ..test.claim(&test.name()) };
    fails(store.claim(&claim).await, ErrorKind::Unsupported, "a hold that outlives its client").map(drop)
}
