//! Promise: fencing tokens of one name grow with every grant, whatever ended the grant before.

use crate::prelude::*;

cases![
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
fn token(grant: Grant) -> Result<FencingToken, Failure> {
    grant.fence.ok_or_else(|| Failure::new("a fencing token on every grant", format!("{grant:?}")))
}

/// The token of a claim that is granted.
async fn token_of(store: &Client, claim: &Claim) -> Result<FencingToken, Failure> {
    token(take(store, claim, "nobody else holds the lock").await?)
}

async fn next_of(
    store: &Client,
    claim: Claim,
    last: &mut Option<FencingToken>,
    after: &str,
) -> Result<Claim, Failure> {
    let token = token_of(store, &claim).await?;
    if let Some(before) = *last {
        ensure(token > before, format!("a token above {before} {after}"), token)?;
    }
    *last = Some(token);
    Ok(claim)
}

/// Ten grants of two clients, ten growing tokens.
pub async fn tokens_grow_with_every_grant(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (name, mut last) = (test.name(), None);
    for turn in 0..10 {
        let store = &clients[turn % 2];
        let claim = next_of(store, test.claim(&name), &mut last, "after a release").await?;
        let_go(store, &claim).await?;
    }
    Ok(())
}

/// A hold that ended by itself counts as much.
pub async fn tokens_grow_after_an_expiry(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let mut last = None;
    let old = next_of(&one, test.brief(&test.name()), &mut last, "").await?;
    test.outlive(old.ttl).await;
    next_of(&two, test.claim(&old.name), &mut last, "after an expiry").await.map(drop)
}

/// Force raises the counter, so that the late writes of who was thrown out are refused.
pub async fn tokens_grow_after_a_forced_release(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let mut last = None;
    let old = next_of(&one, test.claim(&test.name()), &mut last, "").await?;
    two.force_release(&old.name).await?;
    next_of(&two, test.claim(&old.name), &mut last, "after a forced release").await.map(drop)
}

/// A grant to a waiter is a grant.
pub async fn tokens_grow_over_a_queue(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let mut last = None;
    let mut holder = next_of(&one, test.claim(&test.name()), &mut last, "").await?;
    for _ in 0..3 {
        let waiter = test.barging(&holder.name);
        kept_out(&two, &waiter, "another holds it").await?;
        let_go(&one, &holder).await?;
        holder = next_of(&two, waiter, &mut last, "at a hand-over").await?;
    }
    Ok(())
}

/// Readers that hold together are different grants.
pub async fn holders_together_have_different_tokens(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (name, mut last) = (test.name(), None);
    for turn in 0..4 {
        let reader = test.reader(&name);
        next_of(&clients[turn % 2], reader, &mut last, "beside other readers").await?;
    }
    Ok(())
}

/// A token far above this one.
fn above(token: FencingToken) -> Result<FencingToken, Failure> {
    Ok(FencingToken::new(token.get() + 50_000_000)?)
}

/// A new lock that is held, and its token.
async fn warm(test: &Test, store: &Client) -> Result<(Claim, FencingToken), Failure> {
    let claim = test.claim(&test.name());
    let token = token_of(store, &claim).await?;
    Ok((claim, token))
}

/// No grant is below the floor that its claim names.
pub async fn a_floor_lifts_a_new_grant(test: &Test, store: Client) -> CaseResult {
    let (old, last) = warm(test, &store).await?;
    let_go(&store, &old).await?;
    let floor = above(last)?;
    let lifted = Claim { fence_floor: Some(floor), ..test.claim(&old.name) };
    let found = token_of(&store, &lifted).await?;
    ensure(found >= floor, format!("a token of at least the floor {floor}"), found)
}

/// A repeated claim with a higher floor raises the token of the hold: how a quorum agrees on one.
pub async fn a_floor_lifts_a_hold(test: &Test, store: Client) -> CaseResult {
    let (claim, last) = warm(test, &store).await?;
    let floor = above(last)?;
    let lifted = Claim { fence_floor: Some(floor), ..claim.clone() };
    let found = token_of(&store, &lifted).await?;
    ensure(found >= floor, format!("a token of at least the floor {floor}"), found)?;
    let again = token_of(&store, &claim).await?;
    same(again, found, "the token once raised")
}

/// A proposal is what a new grant carries, unless tokens are above it already; a hold keeps its own. So stores that vote
/// come to one token in one round trip, and a repeated claim changes nothing.
pub async fn a_proposal_is_for_a_new_grant_alone(test: &Test, store: Client) -> CaseResult {
    let (old, last) = warm(test, &store).await?;
    let proposal = above(last)?;
    let repeated = Claim { fence_proposal: Some(proposal), ..old.clone() };
    same(token_of(&store, &repeated).await?, last, "the token of a hold")?;
    let_go(&store, &old).await?;
    let proposed = Claim { fence_proposal: Some(proposal), ..test.claim(&old.name) };
    let granted = token_of(&store, &proposed).await?;
    ensure(granted >= proposal, format!("the token that was proposed, {proposal}, or one above"), granted)?;
    let_go(&store, &proposed).await?;
    let late = Claim { fence_proposal: Some(proposal), ..test.claim(&old.name) };
    let found = token_of(&store, &late).await?;
    ensure(found > granted, format!("a token above {granted}, which was granted before"), found)
}

/// A floor below the token lowers nothing.
pub async fn a_low_floor_changes_nothing(test: &Test, store: Client) -> CaseResult {
    let (claim, last) = warm(test, &store).await?;
    let low = Claim { fence_floor: Some(FencingToken::new(1)?), ..claim };
    same(token_of(&store, &low).await?, last, "the token")
}

/// Once raised, by a grant or on a hold, later tokens are above: else the raised token would fence its successors.
pub async fn tokens_stay_above_a_raised_floor(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let (claim, last) = warm(test, &one).await?;
    let mut highest = Some(last);
    let lifted = Claim { fence_floor: Some(above(last)?), ..claim };
    highest = highest.max(take(&one, &lifted, "it holds the lock").await?.fence);
    let_go(&one, &lifted).await?;
    let next =
        next_of(&two, test.claim(&lifted.name), &mut highest, "after the token of a hold was raised").await?;
    let_go(&two, &next).await?;
    let floor = above(highest.unwrap_or(last))?;
    let high = Claim { fence_floor: Some(floor), ..test.claim(&lifted.name) };
    let high = next_of(&one, high, &mut highest, "with a floor").await?;
    let_go(&one, &high).await?;
    next_of(&two, test.claim(&lifted.name), &mut highest, "after a grant with a floor").await.map(drop)
}

/// A resource can read the high-water mark; later grants are above it.
pub async fn inspect_knows_the_highest_token(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let (claim, last) = warm(test, &one).await?;
    let shown = two.inspect(&claim.name).await?;
    ensure(shown.fence.is_none_or(|mark| mark >= last), format!("a mark of at least {last}"), shown.fence)?;
    same(shown.holders.first().and_then(|holder| holder.fence), Some(last), "the holder's token")?;
    let_go(&one, &claim).await?;
    let mut mark = two.inspect(&claim.name).await?.fence;
    next_of(&two, test.claim(&claim.name), &mut mark, "above the mark that inspect showed").await.map(drop)
}

/// Forgetting a lock that nobody uses does not forget its counter.
pub async fn counters_outlive_the_lock(test: &Test, store: Client) -> CaseResult {
    let (claim, last) = warm(test, &store).await?;
    let_go(&store, &claim).await?;
    test.outlive(test.ttl()).await;
    store.list(claim.name.as_str(), 10).await?;
    let mut last = Some(last);
    next_of(&store, test.claim(&claim.name), &mut last, "after the lock was idle").await.map(drop)
}

/// Durable: nobody is connected for a moment, and the counter goes on.
pub async fn tokens_grow_after_all_clients_are_gone(test: &Test, (): ()) -> CaseResult {
    let (name, mut last) = (test.name(), None);
    for _ in 0..3 {
        let store = test.client().await?;
        let claim = next_of(&store, test.claim(&name), &mut last, "after all clients were closed").await?;
        let_go(&store, &claim).await?;
        store.close().await?;
    }
    Ok(())
}

/// Tasks that take turns: a grant that began after another ended has the higher token; none appears twice.
pub async fn tokens_grow_in_the_order_of_grants(test: &Test, clients: [Client; 4]) -> CaseResult {
    let name = test.name();
    let tasks = clients.into_iter().map(|store| {
        let (test, name) = (test.clone(), name.clone());
        async move {
            let mut tokens = Vec::new();
            for _ in 0..5 {
                let claim = test.barging(&name);
                tokens.push(token(test.wins(&store, &claim, test.slack() * 4, "all take turns").await?)?);
                let_go(&store, &claim).await?;
            }
            Ok::<_, Failure>(tokens)
        }
    });
    let mut all = Vec::new();
    for tokens in test.together(tasks).await? {
        let tokens = tokens?;
        ensure(tokens.is_sorted_by(|before, after| before < after), "growing tokens of one client", &tokens)?;
        all.extend(tokens);
    }
    all.sort_unstable();
    ensure(all.windows(2).all(|pair| pair[0] < pair[1]), "no token twice", all)
}

/// No token rather than a bad one, also for a repeated claim.
pub async fn a_store_that_cannot_order_grants_says_so(test: &Test, store: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    for intent in [claim.intent, Intent::Amend] {
        let grant = take(&store, &Claim { intent, ..claim.clone() }, "nobody else holds the lock").await?;
        same(grant.fence, None, "the token of a store without fencing")?;
    }
    Ok(())
}
