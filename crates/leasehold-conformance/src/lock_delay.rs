//! Promise: after a hold that ended without a release, the lock stays shut for the delay that its claim asked for.

use std::time::Duration;

use leasehold_core::{Claim, ErrorKind, Release, Renewal, Stance};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, kept_out, let_go, same, take},
    renewal::renew,
};

crate::case::cases![
    an_expired_hold_keeps_the_lock_shut [LOCK_DELAY],
    a_release_opens_at_once [LOCK_DELAY],
    a_late_release_does_not_open [LOCK_DELAY],
    a_closed_client_keeps_the_lock_shut [LOCK_DELAY, SEES_CLOSE],
    force_opens_at_once [LOCK_DELAY],
    a_store_without_it_refuses [NO_LOCK_DELAY],
];

fn delayed(context: &TestContext) -> Claim {
    Claim { lock_delay: context.ttl() * 2, ..context.brief(&context.name()) }
}

/// The successor comes in after `ttl + lock_delay`; meanwhile `inspect` says why.
pub async fn an_expired_hold_keeps_the_lock_shut(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = delayed(context);
    let sent = context.env().now();
    take(&*one, &claim, "the lock is free").await?;
    context.outlive(claim.ttl).await;
    let snapshot = two.inspect(&claim.name).await?;
    let delaying = matches!(&snapshot.holders[..], [holder] if holder.stance == Stance::Delaying);
    ensure(delaying, "one holder, whose lock-delay runs", snapshot)?;
    kept_out(&*two, &context.claim(&claim.name), "the lock-delay runs").await?;
    let whole = claim.ttl + claim.lock_delay;
    context.wins(&two, &context.claim(&claim.name), whole, "the lock-delay is over").await?;
    let (end, earliest) = (context.env().now(), context.earliest_end(sent, whole));
    ensure(end >= earliest, format!("shut for {whole:?}"), format!("opened after {:?}", end.since(sent)))
}

/// The lock-delay applies only to an end without release.
pub async fn a_release_opens_at_once(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { ttl: context.long(), lock_delay: Duration::from_secs(60), ..delayed(context) };
    take(&*one, &claim, "the lock is free").await?;
    let_go(&*one, &claim).await?;
    take(&*two, &context.claim(&claim.name), "it was released in time").await.map(drop)
}

/// Nor can the slow holder open it behind its own back, renew it, or take it up again.
pub async fn a_late_release_does_not_open(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { lock_delay: Duration::from_secs(60), ..delayed(context) };
    take(&*one, &claim, "the lock is free").await?;
    context.outlive(claim.ttl).await;
    let answer = renew(&one, &claim).await;
    ensure(matches!(answer, Some(Ok(Renewal::Gone(_)))), "Gone: it has expired", answer)?;
    kept_out(&*one, &claim, "the hold has expired, and its delay runs").await?;
    same(one.release(&claim).await?, Release::NotHeld, "the answer to a release that came too late")?;
    kept_out(&*two, &context.claim(&claim.name), "the lock-delay runs").await
}

/// A client that ended without releasing is an unclean end.
pub async fn a_closed_client_keeps_the_lock_shut(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { ttl: context.long(), ..delayed(context) };
    take(&*one, &claim, "the lock is free").await?;
    one.close().await?;
    kept_out(&*two, &context.claim(&claim.name), "its client ended and did not release").await?;
    context.expect_win(&two, &context.claim(&claim.name), claim.lock_delay, "the lock-delay is over").await
}

/// An operator who forces it knows better.
pub async fn force_opens_at_once(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { lock_delay: Duration::from_secs(60), ..delayed(context) };
    take(&*one, &claim, "the lock is free").await?;
    context.outlive(claim.ttl).await;
    two.force_release(&claim.name).await?;
    take(&*two, &context.claim(&claim.name), "it was opened by force").await.map(drop)
}

/// Unsupported options are refused, not ignored.
pub async fn a_store_without_it_refuses(context: &TestContext) -> CaseResult {
    match context.client().await?.claim(&delayed(context)).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => Err(Failure::new("an error of kind Unsupported", format!("{other:?}"))),
    }
}
