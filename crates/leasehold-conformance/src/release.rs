//! Promise: a release ends the hold of its own claim id, at once, and touches nobody else's.

use leasehold_core::{Claim, ClaimId, Mode, Queueing, Release, Standing};

use crate::{
    CaseResult, TestContext,
    outcome::{ensure, let_go, refused, same, take},
    renewal::renewed,
};

crate::case::cases![
    a_release_frees_at_once,
    a_foreign_id_releases_nothing,
    what_was_never_claimed_is_not_held,
    a_refused_claim_has_nothing_to_release,
    who_knows_the_id_may_release,
    a_release_leaves_the_queue,
    a_release_looks_at_the_id_and_not_at_the_rest,
    nothing_is_kept_of_a_released_lock,
];

/// The next claim, of any client, is granted.
pub async fn a_release_frees_at_once(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    for store in [&one, &two, &one, &two] {
        let claim = context.claim(&name);
        take(&**store, &claim, "the one before has released").await?;
        let_go(&**store, &claim).await?;
    }
    Ok(())
}

/// Another id is answered `NotHeld` and the holder keeps the lock.
pub async fn a_foreign_id_releases_nothing(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let foreign = Claim { id: ClaimId::mint(context.env()), ..holder.clone() };
    for store in [&one, &two] {
        same(store.release(&foreign).await?, Release::NotHeld, "the answer to a foreign release")?;
    }
    refused(&*two, &context.claim(&holder.name), "the holder has not released").await?;
    renewed(&one, &holder, "the holder has not released").await
}

/// Nothing there is no error.
pub async fn what_was_never_claimed_is_not_held(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = context.claim(&context.name());
    same(
        store.release(&claim).await?,
        Release::NotHeld,
        "the answer to the release of what was never claimed",
    )?;
    context.expect_nothing_left(&store, &claim.name, "after a release of nothing").await
}

/// A claim that was answered `Held` left no trace.
pub async fn a_refused_claim_has_nothing_to_release(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let late = context.claim(&holder.name);
    refused(&*two, &late, "another holds it").await?;
    same(two.release(&late).await?, Release::NotHeld, "the answer to the release of a refused claim")?;
    renewed(&one, &holder, "it was not its release").await
}

/// The id is the only proof of ownership: it works through another client too.
pub async fn who_knows_the_id_may_release(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let_go(&*two, &claim).await?;
    take(&*two, &context.claim(&claim.name), "it was released by its id").await.map(drop)
}

/// A waiter that gives up is gone, and is not granted behind its own back.
pub async fn a_release_leaves_the_queue(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let waiter = Claim { queueing: Queueing::Barging, ..context.claim(&holder.name) };
    let standing = two.claim(&waiter).await?;
    let wanted = if matches!(standing, Standing::Waiting(_)) { Release::Released } else { Release::NotHeld };
    same(two.release(&waiter).await?, wanted, "the answer to the release of a place in the queue")?;
    let waiters = one.inspect(&holder.name).await?.waiters;
    ensure(waiters.is_empty(), "a waiter that gave up is out of the queue", waiters)?;
    let_go(&*one, &holder).await?;
    context.expect_nothing_left(&one, &holder.name, "after both have gone").await
}

/// Mode, note and time to live of the release's claim do not matter.
pub async fn a_release_looks_at_the_id_and_not_at_the_rest(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = context.held(&store).await?;
    let bare =
        Claim { ttl: context.ttl(), note: Some("other".into()), queueing: Queueing::No, ..claim.clone() };
    let bare = if context.capability().shared { Claim { mode: Mode::Shared, ..bare } } else { bare };
    let_go(&*store, &bare).await?;
    context.expect_nothing_left(&store, &claim.name, "after the release").await
}

/// It is not listed any more.
pub async fn nothing_is_kept_of_a_released_lock(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let_go(&*one, &claim).await?;
    context.expect_nothing_left(&two, &claim.name, "after the release").await?;
    same(two.list(claim.name.as_str(), 10).await?.len(), 0, "the number of locks listed")
}
