//! Promise: a renewal prolongs a hold that is there, and never does anything else.

use leasehold_core::{Claim, ClaimId, Queueing, Renewal, Result};

use crate::{
    CaseResult, Client, TestContext,
    outcome::{ensure, kept_out, let_go, refused, same, take},
};

crate::case::cases![
    a_renewed_hold_lives_on,
    a_renewal_is_counted_from_now,
    a_renewal_never_shortens,
    a_renewal_never_creates,
    a_released_hold_is_not_renewed,
    another_id_renews_nothing,
    a_waiter_is_not_renewed_into_a_hold,
    answers_come_one_a_claim_in_order,
    nothing_is_answered_with_nothing,
    a_renewal_keeps_the_token[FENCING],
];

/// The answer to a renewal of one claim.
pub(crate) async fn renew(store: &Client, claim: &Claim) -> Option<Result<Renewal>> {
    store.renew(std::slice::from_ref(claim)).await.into_iter().next()
}

/// Renews, and fails unless the hold lives on.
pub(crate) async fn renewed(store: &Client, claim: &Claim, expected: &str) -> CaseResult {
    let answer = renew(store, claim).await;
    ensure(matches!(answer, Some(Ok(Renewal::Renewed { .. }))), format!("Renewed: {expected}"), answer)
}

/// Renews, and fails unless there is no such hold.
pub(crate) async fn gone(store: &Client, claim: &Claim, expected: &str) -> CaseResult {
    let answer = renew(store, claim).await;
    ensure(matches!(answer, Some(Ok(Renewal::Gone(_)))), format!("Gone: {expected}"), answer)
}

/// Renewed every third of its time, a hold outlives it several times.
pub async fn a_renewed_hold_lives_on(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let ttl = context.ttl() * 4;
    let claim = Claim { ttl, ..context.claim(&context.name()) };
    take(&*one, &claim, "the lock is free").await?;
    for _ in 0..8 {
        context.env().sleep(ttl / 4).await;
        renewed(&one, &claim, "it is renewed in time").await?;
    }
    kept_out(&*two, &context.claim(&claim.name), "the hold was renewed all the time").await
}

/// After a renewal the hold lasts a whole time to live, not the rest of the old one.
pub async fn a_renewal_is_counted_from_now(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let ttl = context.ttl() * 2;
    let claim = Claim { ttl, ..context.claim(&context.name()) };
    take(&*one, &claim, "the lock is free").await?;
    context.env().sleep(ttl / 2).await;
    let sent = context.env().now();
    renewed(&one, &claim, "half of its time is left").await?;
    context.wins(&two, &context.claim(&claim.name), ttl, "the hold was renewed once").await?;
    let end = context.env().now();
    let found = format!("freed {:?} after the renewal was sent", end.since(sent));
    ensure(end >= context.earliest_end(sent, ttl), format!("the renewed hold lasts {ttl:?}"), found)
}

/// A renewal with a shorter time to live leaves the longer one.
pub async fn a_renewal_never_shortens(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let short = Claim { ttl: context.ttl(), ..claim.clone() };
    renewed(&one, &short, "it is held").await?;
    context.outlive(short.ttl).await;
    kept_out(&*two, &context.claim(&claim.name), "a renewal may not shorten the hold").await
}

/// The renewal of a claim that was never made answers `Gone`, and makes no hold.
pub async fn a_renewal_never_creates(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.claim(&context.name());
    gone(&one, &claim, "it was never claimed").await?;
    context.expect_nothing_left(&two, &claim.name, "after a renewal of what was never claimed").await?;
    take(&*two, &context.claim(&claim.name), "nobody has claimed it").await.map(drop)
}

/// A renewal that was under way when its hold was released does not bring it back.
pub async fn a_released_hold_is_not_renewed(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let_go(&*one, &claim).await?;
    gone(&one, &claim, "it was released").await?;
    take(&*two, &context.claim(&claim.name), "it was released").await.map(drop)
}

/// A foreign id prolongs nothing.
pub async fn another_id_renews_nothing(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held_briefly(&one).await?;
    let foreign = Claim { id: ClaimId::mint(context.env()), ttl: context.long(), ..claim.clone() };
    gone(&one, &foreign, "another id holds it").await?;
    gone(&two, &foreign, "another id holds it").await?;
    context.expect_win(&two, &context.claim(&claim.name), claim.ttl, "only a foreign id was renewed").await
}

/// Renewing a place in the queue is no hold.
pub async fn a_waiter_is_not_renewed_into_a_hold(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let waiter = Claim { queueing: Queueing::Barging, ..context.claim(&holder.name) };
    kept_out(&*two, &waiter, "another holds it").await?;
    gone(&two, &waiter, "it waits and does not hold").await?;
    let_go(&*one, &holder).await?;
    gone(&two, &waiter, "it has not asked again").await
}

/// A batch of many locks: holds, strangers and released ones, each gets its own answer.
pub async fn answers_come_one_a_claim_in_order(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut claims = Vec::new();
    for index in 0..60 {
        let claim = context.claim(&context.name());
        if index % 3 != 1 {
            take(&*store, &claim, "the lock is free").await?;
        }
        if index % 3 == 2 {
            let_go(&*store, &claim).await?;
        }
        claims.push(claim);
    }
    let answers = store.renew(&claims).await;
    same(answers.len(), claims.len(), "the number of answers")?;
    for (index, answer) in answers.into_iter().enumerate() {
        let renewed = matches!(answer?, Renewal::Renewed { .. });
        same(renewed, index % 3 == 0, &format!("whether claim {index} of the batch was renewed"))?;
    }
    Ok(())
}

/// The watchdog of an idle client asks for nothing.
pub async fn nothing_is_answered_with_nothing(context: &TestContext) -> CaseResult {
    same(context.client().await?.renew(&[]).await.len(), 0, "the number of answers to no claims")
}

/// A renewal is no new grant.
pub async fn a_renewal_keeps_the_token(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = context.claim(&context.name());
    let first = take(&*store, &claim, "the lock is free").await?;
    renewed(&store, &claim, "it is held").await?;
    let again = take(&*store, &claim, "the same id asks again").await?;
    same(again.fence, first.fence, "the token after a renewal")?;
    let_go(&*store, &claim).await?;
    refused_nobody(context, &store, &claim).await
}

async fn refused_nobody(context: &TestContext, store: &Client, old: &Claim) -> CaseResult {
    let next = context.claim(&old.name);
    take(&**store, &next, "it was released").await?;
    refused(&**store, &context.claim(&old.name), "it is held again").await.map(drop)
}
