//! Promise: after a hold that ended without a release, the lock stays shut for the delay that its claim asked for.

use crate::prelude::*;

cases![
    an_expired_hold_keeps_the_lock_shut [LOCK_DELAY],
    a_release_opens_at_once [LOCK_DELAY],
    a_delay_that_was_taken_away_is_none [LOCK_DELAY],
    a_late_release_does_not_open [LOCK_DELAY],
    a_closed_client_keeps_the_lock_shut [LOCK_DELAY, SEES_CLOSE],
    force_opens_at_once [LOCK_DELAY],
    a_store_without_it_refuses [NO_LOCK_DELAY],
];

fn delayed(test: &Test) -> Claim {
    Claim { lock_delay: test.ttl() * 2, ..test.brief(&test.name()) }
}

/// The successor comes in after `ttl + lock_delay`; meanwhile `inspect` says why.
pub async fn an_expired_hold_keeps_the_lock_shut(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = delayed(test);
    let sent = test.now();
    take(&one, &claim, "the lock is free").await?;
    test.outlive(claim.ttl).await;
    let snapshot = two.inspect(&claim.name).await?;
    let delaying = matches!(&snapshot.holders[..], [holder] if holder.stance == Stance::Delaying);
    ensure(delaying, "one holder, whose lock-delay runs", snapshot)?;
    kept_out(&two, &test.claim(&claim.name), "the lock-delay runs").await?;
    let whole = claim.ttl + claim.lock_delay;
    test.wins(&two, &test.claim(&claim.name), whole, "the lock-delay is over").await?;
    test.expect_not_early(sent, whole)
}

/// The lock-delay applies only to an end without release.
pub async fn a_release_opens_at_once(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = Claim { lock_delay: Duration::from_secs(60), ..test.claim(&test.name()) };
    take(&one, &claim, "the lock is free").await?;
    let_go(&one, &claim).await?;
    take(&two, &test.claim(&claim.name), "it was released in time").await.map(drop)
}

/// An amendment may take it away. Nothing of it is left after the release.
pub async fn a_delay_that_was_taken_away_is_none(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = Claim { lock_delay: Duration::from_secs(60), ..test.claim(&test.name()) };
    take(&one, &claim, "the lock is free").await?;
    let without = Claim { intent: Intent::Amend, lock_delay: Duration::ZERO, ..claim };
    take(&one, &without, "it holds the lock").await?;
    let_go(&one, &without).await?;
    take(&two, &test.claim(&without.name), "it has no lock-delay any more").await.map(drop)
}

/// Nor can the slow holder open it behind its own back, renew it, or take it up again.
pub async fn a_late_release_does_not_open(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { lock_delay: Duration::from_secs(60), ..delayed(test) }).await?;
    test.outlive(claim.ttl).await;
    gone(&one, &claim, "it has expired").await?;
    kept_out(&one, &claim, "the hold has expired, and its delay runs").await?;
    not_held(&one, &claim, "a release that came too late").await?;
    kept_out(&two, &test.claim(&claim.name), "the lock-delay runs").await
}

/// A client that ended without releasing is an unclean end.
pub async fn a_closed_client_keeps_the_lock_shut(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { ttl: test.long(), ..delayed(test) }).await?;
    one.close().await?;
    kept_out(&two, &test.claim(&claim.name), "its client ended and did not release").await?;
    test.wins(&two, &test.claim(&claim.name), claim.lock_delay, "the lock-delay is over").await.map(drop)
}

/// An operator who forces it knows better.
pub async fn force_opens_at_once(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { lock_delay: Duration::from_secs(60), ..delayed(test) }).await?;
    test.outlive(claim.ttl).await;
    two.force_release(&claim.name).await?;
    take(&two, &test.claim(&claim.name), "it was opened by force").await.map(drop)
}

/// Unsupported options are refused, not ignored.
pub async fn a_store_without_it_refuses(test: &Test, store: Client) -> CaseResult {
    fails(store.claim(&delayed(test)).await, ErrorKind::Unsupported, "a lock-delay").map(drop)
}
