//! Promise: a waiter is overtaken for a moment only, though it did not ask for a fair place.

use crate::prelude::*;

cases![
    a_waiter_that_turns_fair_is_overtaken_no_more[FIFO],
    a_waiting_lock_is_overtaken_for_a_moment_only[FIFO, WAKES],
];

/// It keeps the place that it had, and those who come later get in after it.
pub async fn a_waiter_that_turns_fair_is_overtaken_no_more(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = test.barging(&holder.name);
    queued(&two, &waiter, "another holds it").await?;
    let late = test.fifo(&holder.name);
    queued(&one, &late, "another holds it").await?;
    let waiter = Claim { queueing: Queueing::Fifo, ..waiter };
    queued(&two, &waiter, "another holds it").await?;
    let_go(&one, &holder).await?;
    for queueing in [Queueing::No, Queueing::Barging] {
        let barger = Claim { queueing, ..test.claim(&holder.name) };
        kept_out(&one, &barger, "a waiter that has turned fair came first").await?;
        one.release(&barger).await?;
    }
    queued(&one, &late, "a waiter keeps its place when it turns fair").await?;
    take(&two, &waiter, "it is the first in the queue").await.map(drop)
}

/// The grants that may overtake a waiter, each held for a millisecond: far more than pass until it queues in order.
const OVERTAKEN_MAX: usize = 2000;

/// A lock in demand: each holder has a successor that asks in the instant of the release, before the waiter of an engine can.
pub async fn a_waiting_lock_is_overtaken_for_a_moment_only(test: &Test, (engine, store): Pair) -> CaseResult {
    let mut holder = test.held(&store).await?;
    let name = holder.name.clone();
    let options = options(test.long());
    let waiter = engine.acquire(&name, Mode::Exclusive, &options, Wait::Forever, None);
    let others = async {
        for _ in 0..OVERTAKEN_MAX {
            let next = test.barging(&name);
            kept_out(&store, &next, "another holds it").await?;
            test.sleep(Duration::from_millis(1)).await;
            let_go(&store, &holder).await?;
            if !matches!(store.claim(&next).await?, Standing::Granted(_)) {
                return let_go(&store, &next).await;
            }
            holder = next;
        }
        ensure(false, "a waiter that comes to its turn", format!("it was overtaken {OVERTAKEN_MAX} times"))
    };
    let (hold, overtook) = tokio::join!(test.within(test.long(), waiter), others);
    overtook?;
    let hold = hold.transpose()?.flatten();
    let hold = hold.ok_or_else(|| Failure::new("the waiter holds the lock", "it does not"))?;
    Ok(hold.release().await.map(drop)?)
}
