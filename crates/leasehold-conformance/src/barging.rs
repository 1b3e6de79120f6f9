//! Promise: a waiter that lets itself be overtaken still waits, and readers never overtake a waiting writer that is known.

use crate::prelude::*;

cases![
    a_barging_waiter_is_granted_after_the_release,
    readers_do_not_overtake_a_waiting_writer[SHARED, WAITERS],
    a_writer_that_leaves_lets_the_readers_in[SHARED, WAITERS],
    a_silent_writer_does_not_keep_readers_out_for_ever[SHARED, WAITERS],
];

fn barging(test: &Test, name: &LockName) -> Claim {
    test.barging(name)
}

/// It waits, and when it asks after the release it is granted.
pub async fn a_barging_waiter_is_granted_after_the_release(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = barging(test, &holder.name);
    kept_out(&two, &waiter, "another holds it").await?;
    let_go(&one, &holder).await?;
    take(&two, &waiter, "the holder has released").await?;
    same(one.inspect(&holder.name).await?.holders.len(), 1, "the number of holders")
}

/// Else a stream of readers would keep every writer out for ever.
pub async fn readers_do_not_overtake_a_waiting_writer(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let first = test.grant(&one, test.reader(&name)).await?;
    let writer = barging(test, &name);
    queued(&two, &writer, "a reader holds it").await?;
    let reader = test.reader(&name);
    for queueing in [Queueing::No, Queueing::Barging] {
        kept_out(&one, &Claim { queueing, ..reader.clone() }, "a writer waits").await?;
    }
    let_go(&one, &first).await?;
    kept_out(&one, &reader, "the writer's turn has come").await?;
    take(&two, &writer, "the reader has gone").await?;
    let_go(&two, &writer).await?;
    take(&one, &reader, "the writer has gone").await.map(drop)
}

/// A writer that gives up stands in nobody's way.
pub async fn a_writer_that_leaves_lets_the_readers_in(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let reader = || test.reader(&name);
    take(&one, &reader(), "the lock is free").await?;
    let writer = barging(test, &name);
    queued(&two, &writer, "a reader holds it").await?;
    kept_out(&one, &reader(), "a writer waits").await?;
    let_go(&two, &writer).await?;
    take(&one, &reader(), "the writer has left the queue").await.map(drop)
}

/// A writer that died while it waited keeps readers out no longer than its time to live.
pub async fn a_silent_writer_does_not_keep_readers_out_for_ever(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let name = test.name();
    let reader = || test.reader(&name);
    take(&one, &reader(), "the lock is free").await?;
    let writer = Claim { ttl: test.ttl(), ..barging(test, &name) };
    queued(&two, &writer, "a reader holds it").await?;
    test.wins(&one, &reader(), writer.ttl, "the writer is silent").await.map(drop)
}
