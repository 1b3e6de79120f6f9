//! Promise: whichever one message is lost, repeating the verb cures it: no double grant, nothing left behind.

use std::sync::Arc;

use crate::prelude::*;

cases![
    any_lost_message_of_a_lock_is_cured_by_repeating,
    any_lost_message_of_a_hand_over_is_cured_by_repeating[FIFO],
    a_lost_reply_to_a_claim_leaves_a_hold_that_ends,
];

/// Runs `scenario` with every message lost in turn, until it is through before the loss.
async fn sweep<F, Body>(test: &Test, scenario: F) -> CaseResult
where
    F: Fn(Arc<Chaos>, Client) -> Body,
    Body: Future<Output = CaseResult>,
{
    for fault in [Fault::LoseRequest, Fault::LoseReply] {
        for at in 0.. {
            let [one, two] = test.clients().await?;
            let lossy = Arc::new(Chaos::at(one, test.env.clone(), at, fault));
            scenario(lossy.clone(), two).await.map_err(|failure| Failure {
                expected: format!("{} ({fault:?} at operation {at})", failure.expected),
                ..failure
            })?;
            if lossy.operations() <= at {
                ensure(at > 0, "a scenario that sends something", at)?;
                break;
            }
        }
    }
    Ok(())
}

/// Asks, and when the answer is lost asks once more: one loss, one repeat.
macro_rules! persist {
    ($verb:expr) => {
        match $verb.await {
            Err(error) if error.is_transient() => $verb.await?,
            answer => answer?,
        }
    };
}

/// claim, renew, release, claim again: each message lost once.
pub async fn any_lost_message_of_a_lock_is_cured_by_repeating(test: &Test, (): ()) -> CaseResult {
    sweep(test, |lossy, other| lock_twice(test, lossy, other)).await
}

async fn lock_twice(test: &Test, lossy: Arc<Chaos>, other: Client) -> CaseResult {
    let name = test.name();
    let mut last = None;
    for _ in 0..2 {
        let claim = test.claim(&name);
        let standing = persist!(lossy.claim(&claim));
        let grant = granted(standing, "the lock is free")?;
        ensure(last.is_none() || grant.fence > last || grant.fence.is_none(), "growing tokens", grant)?;
        last = grant.fence;
        kept_out(&other, &test.claim(&name), "the first claim holds it").await?;
        same(other.inspect(&name).await?.holders.len(), 1, "the number of holders")?;
        let renewal = persist!(renew(&*lossy, &claim));
        ensure(matches!(renewal, Renewal::Renewed { .. }), "Renewed: it holds the lock", renewal)?;
        persist!(lossy.release(&claim));
        test.expect_nothing_left(&other, &name, "after the release").await?;
    }
    Ok(())
}

/// A waiter whose messages get lost is granted once, in its turn, and leaves nothing.
pub async fn any_lost_message_of_a_hand_over_is_cured_by_repeating(test: &Test, (): ()) -> CaseResult {
    sweep(test, |lossy, other| hand_over(test, lossy, other)).await
}

async fn hand_over(test: &Test, lossy: Arc<Chaos>, other: Client) -> CaseResult {
    let holder = test.held(&other).await?;
    let fifo = || test.fifo(&holder.name);
    let (mine, behind) = (fifo(), fifo());
    let standing = persist!(lossy.claim(&mine));
    ensure(matches!(standing, Standing::Waiting(_)), "Waiting: another holds it", standing)?;
    queued(&other, &behind, "others came first").await?;
    let_go(&other, &holder).await?;
    queued(&other, &behind, "another came first").await?;
    granted(persist!(lossy.claim(&mine)), "it is the first in the queue")?;
    persist!(lossy.release(&mine));
    take(&other, &behind, "those before it have gone").await?;
    let_go(&other, &behind).await?;
    test.expect_nothing_left(&other, &holder.name, "after all releases").await
}

/// Nobody repeats and nobody releases: the orphan ends with its time to live.
pub async fn a_lost_reply_to_a_claim_leaves_a_hold_that_ends(
    test: &Test,
    [one, two]: [Client; 2],
) -> CaseResult {
    let lossy: Client = Arc::new(Chaos::at(one, test.env.clone(), 0, Fault::LoseReply));
    let claim = test.brief(&test.name());
    let answer = lossy.claim(&claim).await;
    ensure(answer.is_err(), "no answer", answer)?;
    test.wins(&two, &test.claim(&claim.name), claim.ttl, "nobody renews the orphan").await?;
    not_held(&lossy, &claim, "the orphan's late release").await
}
