//! Promise: force frees the lock at once, says whom it threw out, and those find out.

use crate::prelude::*;

cases![
    it_frees_at_once_and_says_whom_it_threw_out,
    a_free_lock_has_nobody_to_throw_out,
    who_was_thrown_out_is_told,
    who_was_thrown_out_touches_nobody,
    all_readers_are_thrown_out[SHARED],
    those_who_wait_stay[FIFO],
    other_locks_are_not_touched,
];

/// The evicted contender is the holder.
pub async fn it_frees_at_once_and_says_whom_it_threw_out(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let evicted = two.force_release(&claim.name).await?;
    let tags: Vec<_> = evicted.iter().map(|contender| contender.tag).collect();
    same(tags, vec![Contender::tag_of(claim.id)], "the tags of those thrown out")?;
    test.expect_nothing_left(&two, &claim.name, "after a forced release").await?;
    take(&two, &test.claim(&claim.name), "it was freed by force").await.map(drop)
}

/// Nobody is thrown out of what nobody holds; it is no error.
pub async fn a_free_lock_has_nobody_to_throw_out(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    same(store.force_release(&name).await?.len(), 0, "the number of those thrown out of a free lock")?;
    take(&store, &test.claim(&name), "the lock is free").await.map(drop)
}

/// The next renewal answers `Gone`.
pub async fn who_was_thrown_out_is_told(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    two.force_release(&claim.name).await?;
    gone(&one, &claim, "it was thrown out").await?;
    test.expect_nothing_left(&two, &claim.name, "after the renewal of who was thrown out").await
}

/// Neither its release nor its renewal nor its repeated claim disturbs the successor.
pub async fn who_was_thrown_out_touches_nobody(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let old = test.held(&one).await?;
    two.force_release(&old.name).await?;
    let new = test.claim(&old.name);
    take(&two, &new, "it was freed by force").await?;
    gone(&one, &old, "it was thrown out").await?;
    kept_out(&one, &old, "the successor holds it").await?;
    not_held(&one, &old, "the release of who was thrown out").await?;
    renewed(&two, &new, "it holds the lock").await?;
    let_go(&two, &new).await
}

/// Not only the first.
pub async fn all_readers_are_thrown_out(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    for store in [&one, &two, &one] {
        take(store, &test.reader(&name), "only readers hold it").await?;
    }
    same(two.force_release(&name).await?.len(), 3, "the number of those thrown out")?;
    take(&two, &test.claim(&name), "all readers were thrown out").await.map(drop)
}

/// The queue keeps its order.
pub async fn those_who_wait_stay(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let fifo = || test.fifo(&holder.name);
    let (first, second) = (fifo(), fifo());
    queued(&two, &first, "another holds it").await?;
    queued(&one, &second, "another holds it").await?;
    same(two.force_release(&holder.name).await?.len(), 1, "the number of those thrown out")?;
    same(one.inspect(&holder.name).await?.waiters.len(), 2, "the number of remaining waiters")?;
    queued(&one, &second, "another came first").await?;
    take(&two, &first, "it is the first in the queue").await.map(drop)
}

/// A name is a name, and no prefix.
pub async fn other_locks_are_not_touched(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    let longer = test.named(format!("{name}/longer"))?;
    let (short, long) = (test.claim(&name), test.claim(&longer));
    take(&store, &short, "the lock is free").await?;
    take(&store, &long, "the lock is free").await?;
    store.force_release(&name).await?;
    renewed(&store, &long, "another lock was freed by force").await
}
