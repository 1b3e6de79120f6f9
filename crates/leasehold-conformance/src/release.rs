//! Promise: a release ends the hold of its own claim id, at once, and touches nobody else's.

use crate::prelude::*;

cases![
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
pub async fn a_release_frees_at_once(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    for store in [&one, &two, &one, &two] {
        let claim = test.claim(&name);
        take(store, &claim, "the one before has released").await?;
        let_go(store, &claim).await?;
    }
    Ok(())
}

/// Another id is answered `NotHeld` and the holder keeps the lock.
pub async fn a_foreign_id_releases_nothing(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let foreign = Claim { id: ClaimId::mint(&test.env), ..holder.clone() };
    for store in [&one, &two] {
        not_held(store, &foreign, "a foreign release").await?;
    }
    refused(&two, &test.claim(&holder.name), "the holder has not released").await?;
    renewed(&one, &holder, "the holder has not released").await
}

/// Nothing there is no error.
pub async fn what_was_never_claimed_is_not_held(test: &Test, store: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    not_held(&store, &claim, "the release of what was never claimed").await?;
    test.expect_nothing_left(&store, &claim.name, "after a release of nothing").await
}

/// A claim that was answered `Held` left no trace.
pub async fn a_refused_claim_has_nothing_to_release(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let late = test.claim(&holder.name);
    refused(&two, &late, "another holds it").await?;
    not_held(&two, &late, "the release of a refused claim").await?;
    renewed(&one, &holder, "it was not its release").await
}

/// The id is the only proof of ownership: it works through another client too.
pub async fn who_knows_the_id_may_release(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let_go(&two, &claim).await?;
    take(&two, &test.claim(&claim.name), "it was released by its id").await.map(drop)
}

/// A waiter that gives up is gone, and is not granted behind its own back.
pub async fn a_release_leaves_the_queue(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = test.barging(&holder.name);
    let standing = two.claim(&waiter).await?;
    let wanted = if matches!(standing, Standing::Waiting(_)) { Release::Released } else { Release::NotHeld };
    same(two.release(&waiter).await?, wanted, "the answer to the release of a place in the queue")?;
    let waiters = one.inspect(&holder.name).await?.waiters;
    ensure(waiters.is_empty(), "a waiter that gave up is out of the queue", waiters)?;
    let_go(&one, &holder).await?;
    test.expect_nothing_left(&one, &holder.name, "after both have gone").await
}

/// Mode, note and time to live of the release's claim do not matter.
pub async fn a_release_looks_at_the_id_and_not_at_the_rest(test: &Test, store: Client) -> CaseResult {
    let claim = test.held(&store).await?;
    let bare = Claim { ttl: test.ttl(), note: Some("other".into()), queueing: Queueing::No, ..claim.clone() };
    let bare = if test.capability.shared { Claim { mode: Mode::Shared, ..bare } } else { bare };
    let_go(&store, &bare).await?;
    test.expect_nothing_left(&store, &claim.name, "after the release").await
}

/// It is not listed any more.
pub async fn nothing_is_kept_of_a_released_lock(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let_go(&one, &claim).await?;
    test.expect_nothing_left(&two, &claim.name, "after the release").await?;
    same(test.listed(&two, &claim.name, &[]).await?, vec![], "the locks listed")
}
