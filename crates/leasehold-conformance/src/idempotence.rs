//! Promise: a verb repeated by the same claim id answers the same and changes nothing.

use leasehold_core::{Claim, Release, Renewal, Standing};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, granted, let_go, refused, same, take},
};

crate::case::cases![
    a_repeated_claim_is_the_same_grant,
    repeats_that_meet_are_one_grant,
    a_repeated_wait_is_one_place,
    a_repeated_release_is_not_held,
    a_repeat_after_expiry_does_not_disturb_the_successor,
    a_repeated_force_release_evicts_nobody,
    another_client_with_the_id_is_the_same_claim[DETACH],
];

/// The cure of a lost reply: asking again is answered by the hold that is there, token and all.
pub async fn a_repeated_claim_is_the_same_grant(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.claim(&context.name());
    let first = take(&*one, &claim, "the lock is free").await?;
    for _ in 0..3 {
        let again = take(&*one, &claim, "the same id asks again").await?;
        same(again.fence, first.fence, "the token of the repeated claim")?;
    }
    same(two.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")?;
    let_go(&*one, &claim).await?;
    take(&*two, &context.claim(&claim.name), "one release undoes four claims").await.map(drop)
}

/// The same claim sent several times at once, as by a retry that overtakes the first try.
pub async fn repeats_that_meet_are_one_grant(context: &TestContext) -> CaseResult {
    let client = context.client().await?;
    let claim = context.claim(&context.name());
    let tasks = (0..6).map(|_| {
        let (client, claim) = (client.clone(), claim.clone());
        async move { client.claim(&claim).await }
    });
    let mut fences = Vec::new();
    for standing in context.together(tasks.collect()).await? {
        fences.push(granted(standing?, "repeats of one claim that meet")?.fence);
    }
    ensure(fences.windows(2).all(|pair| pair[0] == pair[1]), "one token", &fences)?;
    same(client.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")
}

/// A waiter that asks again does not get a second place.
pub async fn a_repeated_wait_is_one_place(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let name = holder.name.clone();
    let waiter = Claim { queueing: leasehold_core::Queueing::Barging, ..context.claim(&name) };
    for _ in 0..3 {
        let standing = two.claim(&waiter).await?;
        let patient = matches!(standing, Standing::Held(_) | Standing::Waiting(_));
        ensure(patient, "Waiting: another holds it", standing)?;
    }
    let waiters = one.inspect(&name).await?.waiters;
    ensure(waiters.len() <= 1, "one place for one id", waiters)?;
    two.release(&waiter).await?;
    let_go(&*one, &holder).await?;
    context.expect_nothing_left(&one, &name, "after both have gone").await
}

/// The cure of a lost release: the second answer is `NotHeld`, and a successor is not touched.
pub async fn a_repeated_release_is_not_held(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let (old, new) = (context.claim(&name), context.claim(&name));
    take(&*one, &old, "the lock is free").await?;
    let_go(&*one, &old).await?;
    same(one.release(&old).await?, Release::NotHeld, "the answer to the second release")?;
    take(&*two, &new, "the lock was released").await?;
    same(one.release(&old).await?, Release::NotHeld, "the answer to the third release")?;
    refused(&*one, &context.claim(&name), "the successor holds it").await?;
    let_go(&*two, &new).await
}

/// An old claim that is repeated when its hold has long ended finds the lock held, like anybody else.
pub async fn a_repeat_after_expiry_does_not_disturb_the_successor(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let (old, new) = (context.brief(&name), context.claim(&name));
    take(&*one, &old, "the lock is free").await?;
    context.wins(&two, &new, old.ttl, "the old hold was not renewed").await?;
    match one.claim(&old).await? {
        Standing::Granted(grant) => {
            return Err(Failure::new("not Granted: it is the successor's", format!("{grant:?}")));
        }
        _ => same(one.release(&old).await?, Release::NotHeld, "the answer to the old claim's release")?,
    }
    let renewals = two.renew(std::slice::from_ref(&new)).await;
    ensure(matches!(renewals[..], [Ok(Renewal::Renewed { .. })]), "the successor still holds it", renewals)
}

/// A free lock cannot be released again.
pub async fn a_repeated_force_release_evicts_nobody(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    same(two.force_release(&claim.name).await?.len(), 1, "the number of those thrown out")?;
    same(two.force_release(&claim.name).await?.len(), 0, "the number of those thrown out the second time")
}

/// The id is the whole proof: another client that presents it is answered the hold, not refused.
pub async fn another_client_with_the_id_is_the_same_claim(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = Claim { binding: leasehold_core::Binding::Ttl, ..context.claim(&context.name()) };
    let first = take(&*one, &claim, "the lock is free").await?;
    let again = take(&*two, &claim, "the same id asks through another client").await?;
    same(again.fence, first.fence, "the token")?;
    same(two.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")
}
