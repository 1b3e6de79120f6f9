//! Promise: a hold that is not renewed ends with its time to live, not before and not much after.

use crate::prelude::*;

cases![
    a_hold_lasts_its_ttl_and_no_longer,
    a_grant_says_how_long_it_is_valid,
    an_expired_hold_is_not_shown,
    an_expired_hold_is_not_renewed,
    a_late_release_does_not_touch_the_successor,
    one_reader_expires_without_the_other[SHARED],
    an_expired_permit_is_free_again[PERMITS],
    a_silent_waiter_is_forgotten,
];

/// The successor is let in neither before `sent + ttl − drift` nor later than the slack allows.
pub async fn a_hold_lasts_its_ttl_and_no_longer(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.brief(&test.name());
    let sent = test.now();
    take(&one, &claim, "the lock is free").await?;
    let successor = test.claim(&claim.name);
    test.wins(&two, &successor, claim.ttl, "the hold was not renewed").await?;
    test.expect_not_early(sent, claim.ttl)
}

/// `valid_for` is neither nothing nor more than the store then keeps: the client computes its deadline from it.
pub async fn a_grant_says_how_long_it_is_valid(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.brief(&test.name());
    let sent = test.now();
    let grant = take(&one, &claim, "the lock is free").await?;
    ensure(grant.valid_for >= claim.ttl / 2, format!("valid for about {:?}", claim.ttl), grant.valid_for)?;
    test.wins(&two, &test.claim(&claim.name), claim.ttl, "the hold was not renewed").await?;
    test.expect_not_early(sent, grant.valid_for)
}

/// An expired hold is gone, for `inspect` as well.
pub async fn an_expired_hold_is_not_shown(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held_briefly(&one).await?;
    test.outlive(claim.ttl).await;
    test.expect_nothing_left(&two, &claim.name, "after the time to live").await?;
    same(test.listed(&two, &claim.name, &[]).await?, vec![], "the locks listed")
}

/// Renewal is too late once the time to live is over, whether or not somebody else has come.
pub async fn an_expired_hold_is_not_renewed(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held_briefly(&one).await?;
    test.outlive(claim.ttl).await;
    expired(&one, &claim).await?;
    test.expect_nothing_left(&two, &claim.name, "after a renewal that came too late").await?;
    take(&two, &test.claim(&claim.name), "the hold has expired").await?;
    expired(&one, &claim).await
}

/// Renews, and fails unless the hold has expired.
async fn expired(store: &Client, claim: &Claim) -> CaseResult {
    use LostReason::{Expired, Gone, SessionEnded};
    let answer = insist(&**store, claim).await;
    let expired = matches!(answer, Ok(Renewal::Gone(Gone | Expired | SessionEnded)));
    ensure(expired, "Gone: the hold has expired", answer)
}

/// The classic: the slow holder's release must not free the lock of who came next.
pub async fn a_late_release_does_not_touch_the_successor(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let old = test.held_briefly(&one).await?;
    test.wins(&two, &test.claim(&old.name), old.ttl, "the hold was not renewed").await?;
    not_held(&one, &old, "the late release").await?;
    refused(&one, &test.claim(&old.name), "the successor holds it").await.map(drop)
}

/// Every hold has its own time.
pub async fn one_reader_expires_without_the_other(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let short = test.grant(&one, Claim { ttl: test.ttl(), ..test.reader(&name) }).await?;
    let long = test.grant(&two, test.reader(&name)).await?;
    test.outlive(short.ttl).await;
    same(one.inspect(&name).await?.holders.len(), 1, "the number of readers left")?;
    kept_out(&one, &test.claim(&name), "the other reader's time is not over").await?;
    two.release(&long).await?;
    take(&one, &test.claim(&name), "both readers have gone").await.map(drop)
}

/// A permit comes back when its holder falls silent.
pub async fn an_expired_permit_is_free_again(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let permit = || test.permits(&name, 1, 2);
    let short = test.grant(&one, Claim { ttl: test.ttl(), ..permit() }).await?;
    take(&one, &permit(), "one is left").await?;
    let next = permit();
    kept_out(&two, &next, "none is left").await?;
    test.wins(&two, &next, short.ttl, "one has expired").await.map(drop)
}

/// A waiter that is not heard of for its time to live is out of the queue.
pub async fn a_silent_waiter_is_forgotten(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    take(&one, &test.claim(&name), "the lock is free").await?;
    let waiter = Claim { ttl: test.ttl(), ..test.barging(&name) };
    kept_out(&two, &waiter, "another holds it").await?;
    test.outlive(waiter.ttl).await;
    let waiters = one.inspect(&name).await?.waiters;
    ensure(waiters.is_empty(), "a waiter that is silent for its ttl is forgotten", waiters)
}
