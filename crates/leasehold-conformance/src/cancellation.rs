//! Promise: a verb whose future is dropped is done or not done, and a release cleans up after it either way.

use leasehold_core::{Claim, Interest, Queueing};

use crate::{
    CaseResult, TestContext,
    drop_after::drop_after,
    outcome::{kept_out, let_go, take},
    renewal::renewed,
};

crate::case::cases![
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
pub async fn a_dropped_claim_is_undone_by_a_release(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for polls in 0..POLLS_MAX {
        let claim = context.claim(&context.name());
        let done = drop_after(polls, one.claim(&claim)).await.is_some();
        one.release(&claim).await?;
        settle(context).await;
        context
            .expect_nothing_left(&two, &claim.name, &format!("after a claim dropped at poll {polls}"))
            .await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// Time for a request that was left behind to do its harm.
async fn settle(context: &TestContext) {
    context.env().sleep(std::time::Duration::from_millis(30)).await;
}

/// The same for a place in the queue.
pub async fn a_dropped_wait_is_undone_by_a_release(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for polls in 0..POLLS_MAX {
        let holder = context.held(&one).await?;
        let waiter = Claim { queueing: Queueing::Barging, ..context.claim(&holder.name) };
        let done = drop_after(polls, two.claim(&waiter)).await.is_some();
        two.release(&waiter).await?;
        let_go(&*one, &holder).await?;
        settle(context).await;
        context
            .expect_nothing_left(&one, &holder.name, &format!("after a wait dropped at poll {polls}"))
            .await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A repeat of the dropped claim is granted, once, whether or not the first got through.
pub async fn a_dropped_claim_is_carried_on_by_a_repeat(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for polls in 0..POLLS_MAX {
        let claim = context.claim(&context.name());
        let done = drop_after(polls, one.claim(&claim)).await.is_some();
        take(&*one, &claim, &format!("the first was dropped at poll {polls}")).await?;
        kept_out(&*two, &context.claim(&claim.name), "the repeated claim holds it").await?;
        let_go(&*one, &claim).await?;
        context.expect_nothing_left(&two, &claim.name, "after the release").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A release dropped half-way is done by releasing again; the lock is free then.
pub async fn a_dropped_release_is_done_by_a_repeat(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for polls in 0..POLLS_MAX {
        let claim = context.held(&one).await?;
        let done = drop_after(polls, one.release(&claim)).await.is_some();
        one.release(&claim).await?;
        let successor = context.claim(&claim.name);
        take(&*two, &successor, &format!("released; the first release was dropped at poll {polls}")).await?;
        settle(context).await;
        renewed(&two, &successor, "a release left behind is not its own").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// A renewal dropped half-way has or has not prolonged; the hold is there.
pub async fn a_dropped_renewal_leaves_the_hold(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claims = [context.claim(&context.name()), context.claim(&context.name())];
    for claim in &claims {
        take(&*one, claim, "the lock is free").await?;
    }
    for polls in 0..POLLS_MAX {
        let done = drop_after(polls, one.renew(&claims)).await.is_some();
        for claim in &claims {
            renewed(&one, claim, &format!("the renewal before was dropped at poll {polls}")).await?;
            kept_out(&*two, &context.claim(&claim.name), "it is held").await?;
        }
        if done {
            break;
        }
    }
    Ok(())
}

/// A subscription dropped half-way is no waiter.
pub async fn a_dropped_subscription_leaves_nothing(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for polls in 0..POLLS_MAX {
        let claim = context.claim(&context.name());
        let done = drop_after(polls, one.watch(&claim.name, Interest::Turn(claim.id))).await.is_some();
        context
            .expect_nothing_left(&two, &claim.name, &format!("after a watch dropped at poll {polls}"))
            .await?;
        take(&*two, &context.claim(&claim.name), "a subscription is no hold").await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// Replies of dropped requests are not taken for the answers to others.
pub async fn a_client_survives_dropped_verbs(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let held = context.held(&two).await?;
    for polls in 1..12 {
        let other = context.claim(&context.name());
        drop_after(polls, one.claim(&other)).await;
        drop_after(polls, one.inspect(&other.name)).await;
        drop_after(polls, one.list("", 3)).await;
        kept_out(&*one, &context.claim(&held.name), "another client holds it").await?;
        drop_after(polls, one.release(&other)).await;
        let snapshot = one.inspect(&held.name).await?;
        crate::outcome::same(&snapshot.name, &held.name, "the answer to the question asked")?;
        crate::outcome::same(snapshot.holders.len(), 1, "the number of holders")?;
        one.release(&other).await?;
        context.expect_nothing_left(&two, &other.name, "after dropped verbs and a release").await?;
    }
    Ok(())
}
