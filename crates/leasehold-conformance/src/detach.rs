//! Promise: a hold bound to its time to live outlives its client.

use leasehold_core::{Binding, Claim, ErrorKind, Intent};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, let_go, refused, take},
    renewal::renewed,
};

crate::case::cases![
    a_detached_hold_outlives_its_client [DETACH],
    a_hold_can_be_detached_later [DETACH],
    a_detached_hold_can_be_bound_again [DETACH, SEES_CLOSE],
    a_detached_hold_ends_with_its_ttl [DETACH],
    a_store_without_it_refuses [NO_DETACH],
];

/// The ticket outlives a closed and dropped client: another client renews and releases with it.
pub async fn a_detached_hold_outlives_its_client(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..context.claim(&context.name()) };
    take(&*one, &claim, "the lock is free").await?;
    outlives(context, one, &two, &claim).await
}

/// A hold of the client becomes a ticket.
pub async fn a_hold_can_be_detached_later(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let detached = Claim { binding: Binding::Ttl, intent: Intent::Amend, ..claim };
    take(&*one, &detached, "it holds the lock").await?;
    outlives(context, one, &two, &detached).await
}

async fn outlives(
    context: &TestContext,
    one: crate::Client,
    two: &crate::Client,
    claim: &Claim,
) -> CaseResult {
    one.close().await?;
    drop(one);
    refused(&**two, &context.claim(&claim.name), "a detached hold outlives its client").await?;
    renewed(two, claim, "who has the ticket may renew").await?;
    let_go(&**two, claim).await?;
    take(&**two, &context.claim(&claim.name), "the ticket was given back").await.map(drop)
}

/// Bound again, it ends with its client again.
pub async fn a_detached_hold_can_be_bound_again(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..context.claim(&context.name()) };
    take(&*one, &claim, "the lock is free").await?;
    let bound = Claim { binding: Binding::Client, intent: Intent::Amend, ..claim };
    take(&*one, &bound, "it holds the lock").await?;
    one.close().await?;
    take(&*two, &context.claim(&bound.name), "the client it was bound to is closed").await.map(drop)
}

/// A ticket is not for ever.
pub async fn a_detached_hold_ends_with_its_ttl(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { binding: Binding::Ttl, ..context.brief(&context.name()) };
    let sent = context.env().now();
    take(&*one, &claim, "the lock is free").await?;
    one.close().await?;
    drop(one);
    context.wins(&two, &context.claim(&claim.name), claim.ttl, "nobody renewed it").await?;
    let lasted = context.env().now();
    let found = format!("freed after {:?}", lasted.since(sent));
    ensure(
        lasted >= context.earliest_end(sent, claim.ttl),
        format!("the ticket lasts its {:?}", claim.ttl),
        found,
    )
}

/// Unsupported options are refused, not ignored.
pub async fn a_store_without_it_refuses(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = Claim { binding: Binding::Ttl, ..context.claim(&context.name()) };
    match store.claim(&claim).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => Err(Failure::new("an error of kind Unsupported", format!("{other:?}"))),
    }
}
