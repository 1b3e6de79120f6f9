//! Promise: force frees the lock at once, says whom it threw out, and those find out.

use leasehold_core::{Claim, Contender, Mode, Queueing, Release};

use crate::{
    CaseResult, TestContext,
    outcome::{kept_out, let_go, queued, same, take},
    renewal::{gone, renewed},
};

crate::case::cases![
    it_frees_at_once_and_says_whom_it_threw_out,
    a_free_lock_has_nobody_to_throw_out,
    who_was_thrown_out_is_told,
    who_was_thrown_out_touches_nobody,
    all_readers_are_thrown_out[SHARED],
    those_who_wait_stay[FIFO],
    other_locks_are_not_touched,
];

/// The evicted contender is the holder.
pub async fn it_frees_at_once_and_says_whom_it_threw_out(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    let evicted = two.force_release(&claim.name).await?;
    let tags: Vec<_> = evicted.iter().map(|contender| contender.tag).collect();
    same(tags, vec![Contender::tag_of(claim.id)], "the tags of those thrown out")?;
    context.expect_nothing_left(&two, &claim.name, "after a forced release").await?;
    take(&*two, &context.claim(&claim.name), "it was freed by force").await.map(drop)
}

/// Nobody is thrown out of what nobody holds; it is no error.
pub async fn a_free_lock_has_nobody_to_throw_out(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    same(store.force_release(&name).await?.len(), 0, "the number of those thrown out of a free lock")?;
    take(&*store, &context.claim(&name), "the lock is free").await.map(drop)
}

/// The next renewal answers `Gone`.
pub async fn who_was_thrown_out_is_told(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    two.force_release(&claim.name).await?;
    gone(&one, &claim, "it was thrown out").await?;
    context.expect_nothing_left(&two, &claim.name, "after the renewal of who was thrown out").await
}

/// Neither its release nor its renewal nor its repeated claim disturbs the successor.
pub async fn who_was_thrown_out_touches_nobody(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let old = context.held(&one).await?;
    two.force_release(&old.name).await?;
    let new = context.claim(&old.name);
    take(&*two, &new, "it was freed by force").await?;
    gone(&one, &old, "it was thrown out").await?;
    kept_out(&*one, &old, "the successor holds it").await?;
    same(one.release(&old).await?, Release::NotHeld, "the answer to the release of who was thrown out")?;
    renewed(&two, &new, "it holds the lock").await?;
    let_go(&*two, &new).await
}

/// Not only the first.
pub async fn all_readers_are_thrown_out(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    for store in [&one, &two, &one] {
        take(&**store, &Claim { mode: Mode::Shared, ..context.claim(&name) }, "only readers hold it").await?;
    }
    same(two.force_release(&name).await?.len(), 3, "the number of those thrown out")?;
    take(&*two, &context.claim(&name), "all readers were thrown out").await.map(drop)
}

/// The queue keeps its order.
pub async fn those_who_wait_stay(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let fifo = || Claim { queueing: Queueing::Fifo, ..context.claim(&holder.name) };
    let (first, second) = (fifo(), fifo());
    queued(&*two, &first, "another holds it").await?;
    queued(&*one, &second, "another holds it").await?;
    same(two.force_release(&holder.name).await?.len(), 1, "the number of those thrown out")?;
    same(one.inspect(&holder.name).await?.waiters.len(), 2, "the number of remaining waiters")?;
    queued(&*one, &second, "another came first").await?;
    take(&*two, &first, "it is the first in the queue").await.map(drop)
}

/// A name is a name, and no prefix.
pub async fn other_locks_are_not_touched(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    let longer = context.named(format!("{name}/longer"))?;
    let (short, long) = (context.claim(&name), context.claim(&longer));
    take(&*store, &short, "the lock is free").await?;
    take(&*store, &long, "the lock is free").await?;
    store.force_release(&name).await?;
    renewed(&store, &long, "another lock was freed by force").await
}
