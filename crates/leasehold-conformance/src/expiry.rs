//! Promise: a hold that is not renewed ends with its time to live, not before and not much after.

use leasehold_core::{Claim, LostReason, Queueing, Release, Renewal};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, kept_out, refused, same, take},
};

crate::case::cases![
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
pub async fn a_hold_lasts_its_ttl_and_no_longer(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.brief(&context.name());
    let sent = context.env().now();
    take(&*one, &claim, "the lock is free").await?;
    let successor = context.claim(&claim.name);
    context.wins(&two, &successor, claim.ttl, "the hold was not renewed").await?;
    not_early(context, sent, &claim)
}

fn not_early(context: &TestContext, sent: leasehold_core::Moment, claim: &Claim) -> CaseResult {
    let (now, earliest) = (context.env().now(), context.earliest_end(sent, claim.ttl));
    let found = format!("it was freed {:?} after the claim was sent", now.since(sent));
    if now >= earliest {
        return Ok(());
    }
    Err(Failure::new(format!("the hold lasts its {:?}, less the drift", claim.ttl), found))
}

/// `valid_for` is neither nothing nor more than the store then keeps: the client computes its deadline from it.
pub async fn a_grant_says_how_long_it_is_valid(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.brief(&context.name());
    let sent = context.env().now();
    let grant = take(&*one, &claim, "the lock is free").await?;
    ensure(grant.valid_for >= claim.ttl / 2, format!("valid for about {:?}", claim.ttl), grant.valid_for)?;
    context.wins(&two, &context.claim(&claim.name), claim.ttl, "the hold was not renewed").await?;
    let end = context.env().now();
    let promised = context.earliest_end(sent, grant.valid_for);
    let expected = format!("the hold is kept for the {:?} that the grant promised", grant.valid_for);
    ensure(end >= promised, expected, format!("freed {:?} after the claim was sent", end.since(sent)))
}

/// An expired hold is gone, for `inspect` as well.
pub async fn an_expired_hold_is_not_shown(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held_briefly(&one).await?;
    context.outlive(claim.ttl).await;
    context.expect_nothing_left(&two, &claim.name, "after the time to live").await?;
    same(two.list(claim.name.as_str(), 10).await?.len(), 0, "the number of locks listed")
}

/// Renewal is too late once the time to live is over, whether or not somebody else has come.
pub async fn an_expired_hold_is_not_renewed(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held_briefly(&one).await?;
    context.outlive(claim.ttl).await;
    gone(&one, &claim).await?;
    context.expect_nothing_left(&two, &claim.name, "after a renewal that came too late").await?;
    take(&*two, &context.claim(&claim.name), "the hold has expired").await?;
    gone(&one, &claim).await
}

async fn gone(store: &crate::Client, claim: &Claim) -> CaseResult {
    let renewals = store.renew(std::slice::from_ref(claim)).await;
    let gone = matches!(
        renewals[..],
        [Ok(Renewal::Gone(LostReason::Gone | LostReason::Expired | LostReason::SessionEnded))]
    );
    ensure(gone, "Gone: the hold has expired", renewals)
}

/// The classic: the slow holder's release must not free the lock of who came next.
pub async fn a_late_release_does_not_touch_the_successor(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let (old, new) = (context.brief(&context.name()), context.name());
    let new = Claim { name: old.name.clone(), ..context.claim(&new) };
    take(&*one, &old, "the lock is free").await?;
    context.wins(&two, &new, old.ttl, "the hold was not renewed").await?;
    same(one.release(&old).await?, Release::NotHeld, "the answer to the late release")?;
    refused(&*one, &context.claim(&old.name), "the successor holds it").await.map(drop)
}

/// Every hold has its own time.
pub async fn one_reader_expires_without_the_other(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let shared = |claim| Claim { mode: leasehold_core::Mode::Shared, ..claim };
    let (short, long) = (shared(context.brief(&name)), shared(context.claim(&name)));
    take(&*one, &short, "the lock is free").await?;
    take(&*two, &long, "a reader holds it").await?;
    context.outlive(short.ttl).await;
    same(one.inspect(&name).await?.holders.len(), 1, "the number of readers left")?;
    kept_out(&*one, &context.claim(&name), "the other reader's time is not over").await?;
    two.release(&long).await?;
    take(&*one, &context.claim(&name), "both readers have gone").await.map(drop)
}

/// A permit comes back when its holder falls silent.
pub async fn an_expired_permit_is_free_again(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let mode = leasehold_core::Mode::Permits { take: 1, of: 2 };
    let short = Claim { mode, ..context.brief(&name) };
    take(&*one, &short, "two are left").await?;
    take(&*one, &Claim { mode, ..context.claim(&name) }, "one is left").await?;
    let next = Claim { mode, ..context.claim(&name) };
    kept_out(&*two, &next, "none is left").await?;
    context.expect_win(&two, &next, short.ttl, "one has expired").await
}

/// A waiter that is not heard of for its time to live is out of the queue.
pub async fn a_silent_waiter_is_forgotten(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    take(&*one, &context.claim(&name), "the lock is free").await?;
    let waiter = Claim { queueing: Queueing::Barging, ..context.brief(&name) };
    kept_out(&*two, &waiter, "another holds it").await?;
    context.outlive(waiter.ttl).await;
    let waiters = one.inspect(&name).await?.waiters;
    ensure(waiters.is_empty(), "a waiter that is silent for its ttl is forgotten", waiters)
}
