//! Promise: a verb whose future is dropped is done or not done, and a release cleans up after it either way.

use crate::prelude::*;

cases![
    a_dropped_claim_is_undone_by_a_release,
    a_dropped_wait_is_undone_by_a_release,
    a_dropped_claim_is_carried_on_by_a_repeat,
    a_dropped_release_is_done_by_a_repeat,
    a_dropped_renewal_leaves_the_hold,
    a_dropped_subscription_leaves_nothing,
    a_client_survives_dropped_verbs,
];

/// More polls than any verb should take; the sweep ends when the verb does.
const POLLS_MAX: usize = 64;

/// Dropped after 0, 1, 2 … polls, then released: nothing is left, and nothing comes later.
pub async fn a_dropped_claim_is_undone_by_a_release(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for polls in 0..POLLS_MAX {
        let claim = test.claim(&test.name());
        let done = drop_after(polls, one.claim(&claim)).await.is_some();
        one.release(&claim).await?;
        settle(test).await;
        test.expect_nothing_left(&two, &claim.name, &format!("after a claim dropped at poll {polls}"))
            .await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// Time for a request that was left behind to do its harm.
async fn settle(test: &Test) {
    test.sleep(std::time::Duration::from_millis(30)).await;
}

/// The same for a place in the queue.
pub async fn a_dropped_wait_is_undone_by_a_release(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for polls in 0..POLLS_MAX {
        let holder = test.held(&one).await?;
        let waiter = test.barging(&holder.name);
        let done = drop_after(polls, two.claim(&waiter)).await.is_some();
        two.release(&waiter).await?;
        let_go(&one, &holder).await?;
        settle(test).await;
        test.expect_nothing_left(&one, &holder.name, &format!("after a wait dropped at poll {polls}"))
            .await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A repeat of the dropped claim is granted, once, whether or not the first got through.
pub async fn a_dropped_claim_is_carried_on_by_a_repeat(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for polls in 0..POLLS_MAX {
        let claim = test.claim(&test.name());
        let done = drop_after(polls, one.claim(&claim)).await.is_some();
        take(&one, &claim, &format!("the first was dropped at poll {polls}")).await?;
        kept_out(&two, &test.claim(&claim.name), "the repeated claim holds it").await?;
        let_go(&one, &claim).await?;
        test.expect_nothing_left(&two, &claim.name, "after the release").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A release dropped half-way is done by releasing again; the lock is free then.
pub async fn a_dropped_release_is_done_by_a_repeat(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for polls in 0..POLLS_MAX {
        let claim = test.held(&one).await?;
        let done = drop_after(polls, one.release(&claim)).await.is_some();
        one.release(&claim).await?;
        let successor = test.claim(&claim.name);
        take(&two, &successor, &format!("released; the first release was dropped at poll {polls}")).await?;
        settle(test).await;
        renewed(&two, &successor, "a release left behind is not its own").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A renewal dropped half-way has or has not prolonged; the hold is there.
pub async fn a_dropped_renewal_leaves_the_hold(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claims = [test.claim(&test.name()), test.claim(&test.name())];
    for claim in &claims {
        take(&one, claim, "the lock is free").await?;
    }
    for polls in 0..POLLS_MAX {
        let done = drop_after(polls, one.renew(&claims)).await.is_some();
        for claim in &claims {
            renewed(&one, claim, &format!("the renewal before was dropped at poll {polls}")).await?;
            kept_out(&two, &test.claim(&claim.name), "it is held").await?;
        }
        if done {
            break;
        }
    }
    Ok(())
}

/// A subscription dropped half-way is no waiter.
pub async fn a_dropped_subscription_leaves_nothing(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for polls in 0..POLLS_MAX {
        let claim = test.claim(&test.name());
        let done = drop_after(polls, one.watch(&claim.name, Interest::Turn(claim.id))).await.is_some();
        test.expect_nothing_left(&two, &claim.name, &format!("after a watch dropped at poll {polls}"))
            .await?;
        take(&two, &test.claim(&claim.name), "a subscription is no hold").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// Replies of dropped requests are not taken for the answers to others.
pub async fn a_client_survives_dropped_verbs(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let held = test.held(&two).await?;
    for polls in 1..12 {
        let other = test.claim(&test.name());
        drop_after(polls, one.claim(&other)).await;
        drop_after(polls, one.inspect(&other.name)).await;
        drop_after(polls, one.list("", 3)).await;
        kept_out(&one, &test.claim(&held.name), "another client holds it").await?;
        drop_after(polls, one.release(&other)).await;
        let snapshot = one.inspect(&held.name).await?;
        same(&snapshot.name, &held.name, "the answer to the question asked")?;
        same(snapshot.holders.len(), 1, "the number of holders")?;
        one.release(&other).await?;
        test.expect_nothing_left(&two, &other.name, "after dropped verbs and a release").await?;
    }
    Ok(())
}
