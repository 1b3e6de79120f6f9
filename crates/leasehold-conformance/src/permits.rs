//! Promise: of the places of a semaphore, never more are taken than there are, and all agree how many there are.

use crate::prelude::*;

cases![
    never_more_than_there_are[PERMITS],
    a_take_of_several_needs_that_many[PERMITS],
    a_released_permit_is_free_again[PERMITS],
    different_limits_never_mix[PERMITS],
    a_semaphore_is_not_a_lock[PERMITS],
    an_idle_name_takes_a_new_limit[PERMITS],
    a_race_grants_as_many_as_there_are[PERMITS],
];

/// Three of three are granted, the fourth is not.
pub async fn never_more_than_there_are(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    for store in [&one, &two, &one] {
        take(store, &test.permits(&name, 1, 3), "there are permits left").await?;
    }
    refused(&two, &test.permits(&name, 1, 3), "all three are taken").await?;
    same(one.inspect(&name).await?.holders.len(), 3, "the number of holders")
}

/// A claim of two is refused when one is left; a claim of one is not.
pub async fn a_take_of_several_needs_that_many(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    take(&store, &test.permits(&name, 2, 3), "three are left").await?;
    refused(&store, &test.permits(&name, 2, 3), "one is left, two are asked for").await?;
    take(&store, &test.permits(&name, 1, 3), "one is left").await?;
    refused(&store, &test.permits(&name, 1, 3), "none is left").await.map(drop)
}

/// A release gives back as many as the claim took.
pub async fn a_released_permit_is_free_again(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let pair = test.grant(&one, test.permits(&name, 2, 2)).await?;
    refused(&two, &test.permits(&name, 1, 2), "none is left").await?;
    let_go(&one, &pair).await?;
    take(&two, &test.permits(&name, 1, 2), "two were given back").await?;
    take(&one, &test.permits(&name, 1, 2), "two were given back").await.map(drop)
}

async fn mismatch(store: &Client, claim: &Claim, limit: Option<u32>) -> CaseResult {
    same(store.claim(claim).await?, Standing::Mismatch { limit }, "the answer to another limit")
}

/// While somebody uses a semaphore of three, a claim on "one of four" is a mistake, and is told the three.
pub async fn different_limits_never_mix(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    take(&one, &test.permits(&name, 1, 3), "the name is idle").await?;
    mismatch(&two, &test.permits(&name, 1, 4), Some(3)).await?;
    mismatch(&two, &test.permits(&name, 1, 2), Some(3)).await?;
    same(one.inspect(&name).await?.holders.len(), 1, "the number of holders")
}

/// A name in use as a lock is no semaphore, and the other way round.
pub async fn a_semaphore_is_not_a_lock(test: &Test, store: Client) -> CaseResult {
    let (semaphore, lock) = (test.name(), test.name());
    take(&store, &test.permits(&semaphore, 1, 3), "the name is idle").await?;
    mismatch(&store, &test.claim(&semaphore), Some(3)).await?;
    take(&store, &test.claim(&lock), "the name is idle").await?;
    mismatch(&store, &test.permits(&lock, 1, 3), None).await
}

/// When nobody uses it, a name may become a semaphore of another size, or a lock.
pub async fn an_idle_name_takes_a_new_limit(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let three = test.grant(&one, test.permits(&name, 1, 3)).await?;
    let_go(&one, &three).await?;
    let four = test.permits(&name, 4, 4);
    take(&two, &four, "nobody uses the three any more").await?;
    let_go(&two, &four).await?;
    take(&one, &test.claim(&name), "nobody uses the semaphore any more").await.map(drop)
}

/// Of ten claims that meet on three places, exactly three are granted.
pub async fn a_race_grants_as_many_as_there_are(test: &Test, clients: [Client; 5]) -> CaseResult {
    for _ in 0..4 {
        let name = test.name();
        let tasks = clients.iter().chain(&clients).cloned().map(|client| {
            let claim = test.permits(&name, 1, 3);
            async move { client.claim(&claim).await }
        });
        let standings: Vec<_> = test.together(tasks).await?.into_iter().collect::<Result<_, _>>()?;
        let winners = standings.iter().filter(|standing| matches!(standing, Standing::Granted(_))).count();
        ensure(winners == 3, "three winners of ten", standings)?;
    }
    Ok(())
}
