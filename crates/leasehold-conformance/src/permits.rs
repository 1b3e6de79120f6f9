//! Promise: of the places of a semaphore, never more are taken than there are, and all agree how many there are.

use leasehold_core::{Claim, LockName, Mode, Standing};

use crate::{
    CaseResult, TestContext,
    outcome::{ensure, let_go, refused, same, take},
};

crate::case::cases![
    never_more_than_there_are[PERMITS],
    a_take_of_several_needs_that_many[PERMITS],
    a_released_permit_is_free_again[PERMITS],
    different_limits_never_mix[PERMITS],
    a_semaphore_is_not_a_lock[PERMITS],
    an_idle_name_takes_a_new_limit[PERMITS],
    a_race_grants_as_many_as_there_are[PERMITS],
];

fn permits(context: &TestContext, name: &LockName, take: u32, of: u32) -> Claim {
    Claim { mode: Mode::Permits { take, of }, ..context.claim(name) }
}

/// Three of three are granted, the fourth is not.
pub async fn never_more_than_there_are(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    for store in [&one, &two, &one] {
        take(&**store, &permits(context, &name, 1, 3), "there are permits left").await?;
    }
    refused(&*two, &permits(context, &name, 1, 3), "all three are taken").await?;
    same(one.inspect(&name).await?.holders.len(), 3, "the number of holders")
}

/// A claim of two is refused when one is left; a claim of one is not.
pub async fn a_take_of_several_needs_that_many(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    take(&*store, &permits(context, &name, 2, 3), "three are left").await?;
    refused(&*store, &permits(context, &name, 2, 3), "one is left, two are asked for").await?;
    take(&*store, &permits(context, &name, 1, 3), "one is left").await?;
    refused(&*store, &permits(context, &name, 1, 3), "none is left").await.map(drop)
}

/// A release gives back as many as the claim took.
pub async fn a_released_permit_is_free_again(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let pair = permits(context, &name, 2, 2);
    take(&*one, &pair, "two are left").await?;
    refused(&*two, &permits(context, &name, 1, 2), "none is left").await?;
    let_go(&*one, &pair).await?;
    take(&*two, &permits(context, &name, 1, 2), "two were given back").await?;
    take(&*one, &permits(context, &name, 1, 2), "two were given back").await.map(drop)
}

async fn mismatch(store: &crate::Client, claim: &Claim, limit: Option<u32>) -> CaseResult {
    same(store.claim(claim).await?, Standing::Mismatch { limit }, "the answer to another limit")
}

/// While somebody uses a semaphore of three, a claim on "one of four" is a mistake, and is told the three.
pub async fn different_limits_never_mix(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    take(&*one, &permits(context, &name, 1, 3), "the name is idle").await?;
    mismatch(&two, &permits(context, &name, 1, 4), Some(3)).await?;
    mismatch(&two, &permits(context, &name, 1, 2), Some(3)).await?;
    same(one.inspect(&name).await?.holders.len(), 1, "the number of holders")
}

/// A name in use as a lock is no semaphore, and the other way round.
pub async fn a_semaphore_is_not_a_lock(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let (semaphore, lock) = (context.name(), context.name());
    take(&*store, &permits(context, &semaphore, 1, 3), "the name is idle").await?;
    mismatch(&store, &context.claim(&semaphore), Some(3)).await?;
    take(&*store, &context.claim(&lock), "the name is idle").await?;
    mismatch(&store, &permits(context, &lock, 1, 3), None).await
}

/// When nobody uses it, a name may become a semaphore of another size, or a lock.
pub async fn an_idle_name_takes_a_new_limit(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let three = permits(context, &name, 1, 3);
    take(&*one, &three, "the name is idle").await?;
    let_go(&*one, &three).await?;
    let four = permits(context, &name, 4, 4);
    take(&*two, &four, "nobody uses the three any more").await?;
    let_go(&*two, &four).await?;
    take(&*one, &context.claim(&name), "nobody uses the semaphore any more").await.map(drop)
}

/// Of ten claims that meet on three places, exactly three are granted.
pub async fn a_race_grants_as_many_as_there_are(context: &TestContext) -> CaseResult {
    let clients: [crate::Client; 5] = context.clients().await?;
    for _ in 0..4 {
        let name = context.name();
        let tasks = clients.iter().chain(&clients).cloned().map(|client| {
            let claim = permits(context, &name, 1, 3);
            async move { client.claim(&claim).await }
        });
        let mut standings = Vec::new();
        for standing in context.together(tasks.collect()).await? {
            standings.push(standing?);
        }
        let winners = standings.iter().filter(|standing| matches!(standing, Standing::Granted(_))).count();
        ensure(winners == 3, "three winners of ten", standings)?;
    }
    Ok(())
}
