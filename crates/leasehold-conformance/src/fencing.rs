//! Promise: fencing tokens of one name grow with every grant, whatever ended the grant before.

use leasehold_core::{Claim, FencingToken, Grant, Intent, Mode};

use crate::{
    CaseResult, Client, Failure, TestContext,
    outcome::{ensure, let_go, same, take},
};

crate::case::cases![
    tokens_grow_with_every_grant [FENCING],
    tokens_grow_after_an_expiry [FENCING],
    tokens_grow_after_a_forced_release [FENCING],
    tokens_grow_over_a_queue [FENCING],
    holders_together_have_different_tokens [FENCING, SHARED],
    a_floor_lifts_a_new_grant [FENCING],
    a_floor_lifts_a_hold [FENCING],
    a_low_floor_changes_nothing [FENCING],
    a_proposal_is_for_a_new_grant_alone [FENCING],
    tokens_stay_above_a_raised_floor [FENCING],
    inspect_knows_the_highest_token [FENCING],
    counters_outlive_the_lock [FENCING],
    tokens_grow_after_all_clients_are_gone [DURABLE],
    tokens_grow_in_the_order_of_grants [FENCING],
    a_store_that_cannot_order_grants_says_so [NO_FENCING],
];

/// The token of a grant.
pub(crate) fn token(grant: Grant) -> Result<FencingToken, Failure> {
    grant.fence.ok_or_else(|| Failure::new("a fencing token on every grant", format!("{grant:?}")))
}

async fn next(
    context: &TestContext,
    store: &Client,
    last: &mut Option<FencingToken>,
    after: &str,
) -> Result<Claim, Failure> {
    let name = context.name();
    next_of(store, context.claim(&name), last, after).await
}

async fn next_of(
    store: &Client,
    claim: Claim,
    last: &mut Option<FencingToken>,
    after: &str,
) -> Result<Claim, Failure> {
    let token = token(take(&**store, &claim, "the lock is free").await?)?;
    if let Some(before) = *last {
        ensure(token > before, format!("a token above {before} {after}"), token)?;
    }
    *last = Some(token);
    Ok(claim)
}

/// Ten grants of two clients, ten growing tokens.
pub async fn tokens_grow_with_every_grant(context: &TestContext) -> CaseResult {
    let clients: [Client; 2] = context.clients().await?;
    let (name, mut last) = (context.name(), None);
    for turn in 0..10 {
        let store = &clients[turn % 2];
        let claim = next_of(store, context.claim(&name), &mut last, "after a release").await?;
        let_go(&**store, &claim).await?;
    }
    Ok(())
}

/// A hold that ended by itself counts as much.
pub async fn tokens_grow_after_an_expiry(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let mut last = None;
    let old = next_of(&one, context.brief(&context.name()), &mut last, "").await?;
    context.outlive(old.ttl).await;
    next_of(&two, context.claim(&old.name), &mut last, "after an expiry").await.map(drop)
}

/// Force raises the counter, so that the late writes of who was thrown out are refused.
pub async fn tokens_grow_after_a_forced_release(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let mut last = None;
    let old = next(context, &one, &mut last, "").await?;
    two.force_release(&old.name).await?;
    next_of(&two, context.claim(&old.name), &mut last, "after a forced release").await.map(drop)
}

/// A grant to a waiter is a grant.
pub async fn tokens_grow_over_a_queue(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let mut last = None;
    let mut holder = next(context, &one, &mut last, "").await?;
    for _ in 0..3 {
        let queueing = leasehold_core::Queueing::Barging;
        let waiter = Claim { queueing, ..context.claim(&holder.name) };
        crate::outcome::kept_out(&*two, &waiter, "another holds it").await?;
        let_go(&*one, &holder).await?;
        holder = next_of(&two, waiter, &mut last, "at a hand-over").await?;
    }
    Ok(())
}

/// Readers that hold together are different grants.
pub async fn holders_together_have_different_tokens(context: &TestContext) -> CaseResult {
    let clients: [Client; 2] = context.clients().await?;
    let (name, mut last) = (context.name(), None);
    for turn in 0..4 {
        let reader = Claim { mode: Mode::Shared, ..context.claim(&name) };
        next_of(&clients[turn % 2], reader, &mut last, "beside other readers").await?;
    }
    Ok(())
}

fn above(token: FencingToken, by: u64) -> Result<FencingToken, Failure> {
    Ok(FencingToken::new(token.get() + by)?)
}

async fn warm(context: &TestContext, store: &Client) -> Result<(Claim, FencingToken), Failure> {
    let mut last = None;
    let claim = next(context, store, &mut last, "").await?;
    let last = last.ok_or_else(|| Failure::new("a token", "none"))?;
    Ok((claim, last))
}

/// No grant is below the floor that its claim names.
pub async fn a_floor_lifts_a_new_grant(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (old, last) = warm(context, &store).await?;
    let_go(&*store, &old).await?;
    let floor = above(last, 50_000_000)?;
    let lifted = Claim { fence_floor: Some(floor), ..context.claim(&old.name) };
    let found = token(take(&*store, &lifted, "the lock is free").await?)?;
    ensure(found >= floor, format!("a token of at least the floor {floor}"), found)
}

/// A repeated claim with a higher floor raises the token of the hold: how a quorum agrees on one.
pub async fn a_floor_lifts_a_hold(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (claim, last) = warm(context, &store).await?;
    let floor = above(last, 50_000_000)?;
    let lifted = Claim { fence_floor: Some(floor), ..claim.clone() };
    let found = token(take(&*store, &lifted, "it holds the lock").await?)?;
    ensure(found >= floor, format!("a token of at least the floor {floor}"), found)?;
    let again = token(take(&*store, &claim, "it holds the lock").await?)?;
    same(again, found, "the token once raised")
}

/// A proposal is what a new grant carries, unless tokens are above it already; a hold keeps its own. So stores that vote
/// come to one token in one round trip, and a repeated claim changes nothing.
pub async fn a_proposal_is_for_a_new_grant_alone(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (old, last) = warm(context, &store).await?;
    let proposal = above(last, 50_000_000)?;
    let repeated = Claim { fence_proposal: Some(proposal), ..old.clone() };
    same(token(take(&*store, &repeated, "it holds the lock").await?)?, last, "the token of a hold")?;
    let_go(&*store, &old).await?;
    let proposed = Claim { fence_proposal: Some(proposal), ..context.claim(&old.name) };
    let granted = token(take(&*store, &proposed, "the lock is free").await?)?;
    ensure(granted >= proposal, format!("the token that was proposed, {proposal}, or one above"), granted)?;
    let_go(&*store, &proposed).await?;
    let late = Claim { fence_proposal: Some(proposal), ..context.claim(&old.name) };
    let found = token(take(&*store, &late, "the lock is free").await?)?;
    ensure(found > granted, format!("a token above {granted}, which was granted before"), found)
}

/// A floor below the token lowers nothing.
pub async fn a_low_floor_changes_nothing(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (claim, last) = warm(context, &store).await?;
    let low = Claim { fence_floor: Some(FencingToken::new(1)?), ..claim };
    same(token(take(&*store, &low, "it holds the lock").await?)?, last, "the token")
}

/// Once raised, by a grant or on a hold, later tokens are above: else the raised token would fence its successors.
pub async fn tokens_stay_above_a_raised_floor(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let (claim, last) = warm(context, &one).await?;
    let mut highest = Some(last);
    let lifted = Claim { fence_floor: Some(above(last, 50_000_000)?), ..claim };
    highest = highest.max(take(&*one, &lifted, "it holds the lock").await?.fence);
    let_go(&*one, &lifted).await?;
    let next =
        next_of(&two, context.claim(&lifted.name), &mut highest, "after the token of a hold was raised")
            .await?;
    let_go(&*two, &next).await?;
    let floor = above(highest.unwrap_or(last), 50_000_000)?;
    let high = Claim { fence_floor: Some(floor), ..context.claim(&lifted.name) };
    let high = next_of(&one, high, &mut highest, "with a floor").await?;
    let_go(&*one, &high).await?;
    next_of(&two, context.claim(&lifted.name), &mut highest, "after a grant with a floor").await.map(drop)
}

/// A resource can read the high-water mark; later grants are above it.
pub async fn inspect_knows_the_highest_token(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let (claim, last) = warm(context, &one).await?;
    let shown = two.inspect(&claim.name).await?;
    ensure(shown.fence.is_none_or(|mark| mark >= last), format!("a mark of at least {last}"), shown.fence)?;
    same(shown.holders.first().and_then(|holder| holder.fence), Some(last), "the holder's token")?;
    let_go(&*one, &claim).await?;
    let mut mark = two.inspect(&claim.name).await?.fence;
    next_of(&two, context.claim(&claim.name), &mut mark, "above the mark that inspect showed").await.map(drop)
}

/// Forgetting a lock that nobody uses does not forget its counter.
pub async fn counters_outlive_the_lock(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (claim, last) = warm(context, &store).await?;
    let_go(&*store, &claim).await?;
    context.outlive(context.ttl()).await;
    store.list(claim.name.as_str(), 10).await?;
    let mut last = Some(last);
    next_of(&store, context.claim(&claim.name), &mut last, "after the lock was idle").await.map(drop)
}

/// Durable: nobody is connected for a moment, and the counter goes on.
pub async fn tokens_grow_after_all_clients_are_gone(context: &TestContext) -> CaseResult {
    let (name, mut last) = (context.name(), None);
    for _ in 0..3 {
        let store = context.client().await?;
        let claim = next_of(&store, context.claim(&name), &mut last, "after all clients were closed").await?;
        let_go(&*store, &claim).await?;
        store.close().await?;
    }
    Ok(())
}

/// Tasks that take turns: a grant that began after another ended has the higher token; none appears twice.
pub async fn tokens_grow_in_the_order_of_grants(context: &TestContext) -> CaseResult {
    let clients: [Client; 4] = context.clients().await?;
    let name = context.name();
    let tasks = clients.into_iter().map(|store| {
        let (context, name) = (context.clone(), name.clone());
        async move {
            let mut tokens = Vec::new();
            for _ in 0..5 {
                let queueing = leasehold_core::Queueing::Barging;
                let claim = Claim { queueing, ..context.claim(&name) };
                tokens
                    .push(token(context.wins(&store, &claim, context.slack() * 4, "all take turns").await?)?);
                let_go(&*store, &claim).await?;
            }
            Ok::<_, Failure>(tokens)
        }
    });
    let mut all = Vec::new();
    for tokens in context.together(tasks.collect()).await? {
        let tokens = tokens?;
        ensure(tokens.is_sorted_by(|before, after| before < after), "growing tokens of one client", &tokens)?;
        all.extend(tokens);
    }
    all.sort_unstable();
    ensure(all.windows(2).all(|pair| pair[0] < pair[1]), "no token twice", all)
}

/// No token rather than a bad one, also for a repeated claim.
pub async fn a_store_that_cannot_order_grants_says_so(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = context.claim(&context.name());
    same(
        take(&*store, &claim, "the lock is free").await?.fence,
        None,
        "the token of a store without fencing",
    )?;
    let amend = Claim { intent: Intent::Amend, ..claim };
    same(
        take(&*store, &amend, "it holds the lock").await?.fence,
        None,
        "the token of a store without fencing",
    )
}
