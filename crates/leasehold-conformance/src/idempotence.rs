//! Promise: a verb repeated by the same claim id answers the same and changes nothing.

use crate::prelude::*;

cases![
    a_repeated_claim_is_the_same_grant,
    repeats_that_meet_are_one_grant,
    a_repeated_wait_is_one_place,
    a_repeated_release_is_not_held,
    a_repeat_after_expiry_does_not_disturb_the_successor,
    a_repeated_force_release_evicts_nobody,
    another_client_with_the_id_is_the_same_claim[DETACH],
];

/// The cure of a lost reply: asking again is answered by the hold that is there, token and all.
pub async fn a_repeated_claim_is_the_same_grant(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.claim(&test.name());
    let first = take(&one, &claim, "the lock is free").await?;
    for _ in 0..3 {
        let again = take(&one, &claim, "the same id asks again").await?;
        same(again.fence, first.fence, "the token of the repeated claim")?;
    }
    same(two.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")?;
    let_go(&one, &claim).await?;
    take(&two, &test.claim(&claim.name), "one release undoes four claims").await.map(drop)
}

/// The same claim sent several times at once, as by a retry that overtakes the first try.
pub async fn repeats_that_meet_are_one_grant(test: &Test, client: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    let tasks = (0..6).map(|_| {
        let (client, claim) = (client.clone(), claim.clone());
        async move { client.claim(&claim).await }
    });
    let mut fences = Vec::new();
    for standing in test.together(tasks).await? {
        fences.push(granted(standing?, "repeats of one claim that meet")?.fence);
    }
    ensure(fences.windows(2).all(|pair| pair[0] == pair[1]), "one token", &fences)?;
    same(client.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")
}

/// A waiter that asks again does not get a second place.
pub async fn a_repeated_wait_is_one_place(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let name = holder.name.clone();
    let waiter = test.barging(&name);
    for _ in 0..3 {
        let standing = two.claim(&waiter).await?;
        let patient = matches!(standing, Standing::Held(_) | Standing::Waiting(_));
        ensure(patient, "Waiting: another holds it", standing)?;
    }
    let waiters = one.inspect(&name).await?.waiters;
    ensure(waiters.len() <= 1, "one place for one id", waiters)?;
    two.release(&waiter).await?;
    let_go(&one, &holder).await?;
    test.expect_nothing_left(&one, &name, "after both have gone").await
}

/// The cure of a lost release: the second answer is `NotHeld`, and a successor is not touched.
pub async fn a_repeated_release_is_not_held(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let old = test.grant(&one, test.claim(&name)).await?;
    let_go(&one, &old).await?;
    not_held(&one, &old, "the second release").await?;
    let new = test.grant(&two, test.claim(&name)).await?;
    not_held(&one, &old, "the third release").await?;
    refused(&one, &test.claim(&name), "the successor holds it").await?;
    let_go(&two, &new).await
}

/// An old claim that is repeated when its hold has long ended finds the lock held, like anybody else.
pub async fn a_repeat_after_expiry_does_not_disturb_the_successor(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let name = test.name();
    let (old, new) = (test.brief(&name), test.claim(&name));
    take(&one, &old, "the lock is free").await?;
    test.wins(&two, &new, old.ttl, "the old hold was not renewed").await?;
    kept_out(&one, &old, "it is the successor's").await?;
    not_held(&one, &old, "the old claim's release").await?;
    renewed(&two, &new, "the successor still holds it").await
}

/// A free lock cannot be released again.
pub async fn a_repeated_force_release_evicts_nobody(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    same(two.force_release(&claim.name).await?.len(), 1, "the number of those thrown out")?;
    same(two.force_release(&claim.name).await?.len(), 0, "the number of those thrown out the second time")
}

/// The id is the whole proof: another client that presents it is answered the hold, not refused.
pub async fn another_client_with_the_id_is_the_same_claim(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let claim = Claim { binding: Binding::Ttl, ..test.claim(&test.name()) };
    let first = take(&one, &claim, "the lock is free").await?;
    let again = take(&two, &claim, "the same id asks through another client").await?;
    same(again.fence, first.fence, "the token")?;
    same(two.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")
}
