//! Promise: subscribe, claim, wait: no wake-up is lost, and nobody is woken in a herd.

use std::time::Duration;

use leasehold_core::{Binding, Claim, Intent, Interest, LockName, Mode, Queueing, Wake};

use crate::{
    CaseResult, Client, Failure, TestContext,
    outcome::{ensure, kept_out, let_go, queued, take},
};

crate::case::cases![
    a_release_wakes_the_waiter [WAKES],
    news_before_the_wait_is_not_lost [WAKES],
    news_between_two_waits_is_not_lost [WAKES],
    changes_are_announced [WAKES],
    a_hand_over_wakes_only_who_can_run [WAKES, FIFO],
    all_readers_are_woken_together [WAKES, FIFO, SHARED],
    either_of_two_permits_wakes [WAKES, FIFO, PERMITS],
    a_waiter_that_leaves_wakes_the_next [WAKES, FIFO, SHARED],
    a_forced_release_wakes_the_waiter [WAKES],
    a_downgrade_wakes_the_readers [WAKES, SHARED],
    a_client_that_ends_wakes_the_waiter [WAKES, SEES_CLOSE],
    a_new_waiter_is_a_change [WAKES, FIFO],
    the_recheck_is_enough_without_any_wake,
    without_wake_ups_wait_is_for_ever [NO_WAKES],
    without_wake_ups_waiters_ask_often [NO_WAKES],
    a_dropped_subscription_is_no_obstacle,
];

fn waiting(context: &TestContext, name: &LockName) -> Claim {
    let queueing = if context.capability().fifo { Queueing::Fifo } else { Queueing::Barging };
    Claim { queueing, ..context.claim(name) }
}

/// Subscribes, then claims and is kept out: ready to wait.
async fn subscribed(store: &Client, claim: &Claim) -> Result<Box<dyn Wake>, Failure> {
    let wake = store.watch(&claim.name, Interest::Turn(claim.id)).await?;
    kept_out(&**store, claim, "another holds it").await?;
    Ok(wake)
}

/// The same, after the news that is already there.
async fn quietly_subscribed(
    context: &TestContext,
    store: &Client,
    claim: &Claim,
) -> Result<Box<dyn Wake>, Failure> {
    let mut wake = subscribed(store, claim).await?;
    drained(context, &mut wake).await?;
    Ok(wake)
}

async fn wakes(context: &TestContext, wake: &mut Box<dyn Wake>, by: &str) -> CaseResult {
    let until = context.env().now() + context.slack();
    match context.env().until(until, wake.wait()).await {
        Some(news) => Ok(news?),
        None => Err(Failure::new(format!("a wake-up {by}"), format!("none within {:?}", context.slack()))),
    }
}

/// A quiet moment: long enough for news that is on its way to arrive.
fn quiet(context: &TestContext) -> Duration {
    context.ttl().min(Duration::from_millis(300))
}

/// Takes the news that is already there, until a quiet moment passes; answers how often it was woken.
async fn drained(context: &TestContext, wake: &mut Box<dyn Wake>) -> Result<usize, Failure> {
    for count in 0..100 {
        let until = context.env().now() + quiet(context);
        match context.env().until(until, wake.wait()).await {
            Some(news) => news?,
            None => return Ok(count),
        }
    }
    Err(Failure::new("a subscription that falls quiet when nothing happens", "100 wake-ups in a row"))
}

/// Long before its recheck, a waiter hears of the release.
pub async fn a_release_wakes_the_waiter(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let waiter = waiting(context, &holder.name);
    let mut wake = quietly_subscribed(context, &two, &waiter).await?;
    let_go(&*one, &holder).await?;
    wakes(context, &mut wake, "by the release").await?;
    take(&*two, &waiter, "it was woken by the release").await.map(drop)
}

/// The release that happens after the subscription and before the wait is still news.
pub async fn news_before_the_wait_is_not_lost(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    for _ in 0..8 {
        let holder = context.held(&one).await?;
        let waiter = waiting(context, &holder.name);
        let mut wake = subscribed(&two, &waiter).await?;
        let_go(&*one, &holder).await?;
        wakes(context, &mut wake, "by a release between subscription and wait").await?;
        take(&*two, &waiter, "the holder has released").await?;
    }
    Ok(())
}

/// A wait that was dropped loses nothing: the next one is answered.
pub async fn news_between_two_waits_is_not_lost(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let waiter = waiting(context, &holder.name);
    let mut wake = quietly_subscribed(context, &two, &waiter).await?;
    let until = context.env().now() + Duration::from_millis(5);
    let _ = context.env().until(until, wake.wait()).await;
    let_go(&*one, &holder).await?;
    wakes(context, &mut wake, "by a release after a wait that was given up").await
}

/// A subscription to changes wakes on a grant, a new note, a release and a forced release.
pub async fn changes_are_announced(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.claim(&context.name());
    let mut wake = two.watch(&claim.name, Interest::Changes).await?;
    take(&*one, &claim, "the lock is free").await?;
    wakes(context, &mut wake, "by the grant").await?;
    drained(context, &mut wake).await?;
    let noted = Claim { intent: Intent::Amend, note: Some("new".into()), ..claim.clone() };
    take(&*one, &noted, "it is held").await?;
    if context.capability().notes {
        wakes(context, &mut wake, "by a new note").await?;
    }
    drained(context, &mut wake).await?;
    let_go(&*one, &claim).await?;
    wakes(context, &mut wake, "by the release").await?;
    take(&*one, &context.claim(&claim.name), "the lock is free").await?;
    drained(context, &mut wake).await?;
    one.force_release(&claim.name).await?;
    wakes(context, &mut wake, "by a forced release").await
}

/// Six wait; a release wakes the first, and the others sleep on.
pub async fn a_hand_over_wakes_only_who_can_run(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let mut sleepers = Vec::new();
    for _ in 0..6 {
        let waiter = waiting(context, &holder.name);
        sleepers.push(subscribed(&two, &waiter).await?);
    }
    for wake in &mut sleepers {
        drained(context, wake).await?;
    }
    let_go(&*one, &holder).await?;
    wakes(context, &mut sleepers[0], "of the first in the queue").await?;
    let mut herd = Vec::new();
    for (place, wake) in sleepers.iter_mut().enumerate().skip(1) {
        if drained(context, wake).await? > 0 {
            herd.push(place);
        }
    }
    ensure(herd.is_empty(), "only the first of six is woken by a hand-over", format!("also woken: {herd:?}"))
}

/// When a writer goes, the readers behind it all hear of it.
pub async fn all_readers_are_woken_together(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let writer = context.held(&one).await?;
    let mut readers = Vec::new();
    for store in [&one, &two, &two] {
        let reader = Claim { mode: Mode::Shared, ..waiting(context, &writer.name) };
        readers.push((store, subscribed(store, &reader).await?, reader));
    }
    let_go(&*one, &writer).await?;
    for (store, wake, reader) in &mut readers {
        wakes(context, wake, "of every reader behind the writer").await?;
        take(&***store, reader, "the writer has gone").await?;
    }
    Ok(())
}

/// Two places, a queue of `[a, b, me]`: whichever of the two goes frees a place, so watching one is not enough.
pub async fn either_of_two_permits_wakes(context: &TestContext) -> CaseResult {
    for goes in 0..2 {
        let [one, two] = context.clients().await?;
        let name = context.name();
        let permit = || Claim { mode: Mode::Permits { take: 1, of: 2 }, ..waiting(context, &name) };
        let holders = [permit(), permit()];
        for holder in &holders {
            take(&*one, holder, "a permit is left").await?;
        }
        let me = permit();
        let mut wake = subscribed(&two, &me).await?;
        drained(context, &mut wake).await?;
        let_go(&*one, &holders[goes]).await?;
        wakes(context, &mut wake, &format!("by holder {goes} of two permits")).await?;
        take(&*two, &me, "a permit was given back").await?;
    }
    Ok(())
}

/// reader (holds), writer, reader: when the writer gives up, the reader behind it can run, and hears of it.
pub async fn a_waiter_that_leaves_wakes_the_next(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let first = Claim { mode: Mode::Shared, ..context.claim(&context.name()) };
    take(&*one, &first, "the lock is free").await?;
    let writer = waiting(context, &first.name);
    queued(&*one, &writer, "a reader holds it").await?;
    let second = Claim { mode: Mode::Shared, ..waiting(context, &first.name) };
    let mut wake = quietly_subscribed(context, &two, &second).await?;
    let_go(&*one, &writer).await?;
    wakes(context, &mut wake, "by a writer that left the queue").await?;
    take(&*two, &second, "only a reader holds it").await.map(drop)
}

/// Force is news too.
pub async fn a_forced_release_wakes_the_waiter(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let waiter = waiting(context, &holder.name);
    let mut wake = quietly_subscribed(context, &two, &waiter).await?;
    one.force_release(&holder.name).await?;
    wakes(context, &mut wake, "by a forced release").await?;
    take(&*two, &waiter, "the holder was thrown out").await.map(drop)
}

/// A writer that becomes a reader lets the waiting readers in.
pub async fn a_downgrade_wakes_the_readers(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let writer = context.held(&one).await?;
    let reader = Claim { mode: Mode::Shared, ..waiting(context, &writer.name) };
    let mut wake = quietly_subscribed(context, &two, &reader).await?;
    let downgraded = Claim { mode: Mode::Shared, intent: Intent::Amend, ..writer };
    take(&*one, &downgraded, "a downgrade is always granted").await?;
    wakes(context, &mut wake, "by a downgrade").await?;
    take(&*two, &reader, "only a reader holds it").await.map(drop)
}

/// The end of the holder's client is news where the store sees it.
pub async fn a_client_that_ends_wakes_the_waiter(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = Claim { binding: Binding::Client, ..context.claim(&context.name()) };
    take(&*one, &holder, "the lock is free").await?;
    let waiter = waiting(context, &holder.name);
    let mut wake = quietly_subscribed(context, &two, &waiter).await?;
    one.close().await?;
    wakes(context, &mut wake, "by the end of the holder's client").await?;
    take(&*two, &waiter, "the holder's client has ended").await.map(drop)
}

/// A subscription to changes wakes when the queue grows.
pub async fn a_new_waiter_is_a_change(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let mut wake = two.watch(&holder.name, Interest::Changes).await?;
    drained(context, &mut wake).await?;
    queued(&*one, &waiting(context, &holder.name), "another holds it").await?;
    wakes(context, &mut wake, "by a new waiter").await
}

/// Wake-ups are hints: who only ever asks again after `recheck_in` gets in too.
pub async fn the_recheck_is_enough_without_any_wake(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held_briefly(&one).await?;
    let waiter = waiting(context, &holder.name);
    let until = context.env().now() + holder.ttl + context.slack();
    loop {
        use leasehold_core::Standing::{Granted, Held, Waiting};
        match two.claim(&waiter).await? {
            Granted(_) if context.env().now() < until => return Ok(()),
            Held(busy) | Waiting(busy) if context.env().now() < until => {
                context.env().sleep(busy.recheck_in.max(Duration::from_millis(1))).await;
            }
            other => {
                return Err(Failure::new("Granted in time: the hold was not renewed", format!("{other:?}")));
            }
        }
    }
}

/// A store that cannot wake does not return at once either: its waiters would spin.
pub async fn without_wake_ups_wait_is_for_ever(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let mut wake = subscribed(&two, &waiting(context, &holder.name)).await?;
    let until = context.env().now() + quiet(context);
    let news = context.env().until(until, wake.wait()).await;
    ensure(news.is_none(), "no return from a wait without wake-ups", news)
}

/// Nobody tells them of a release: a `recheck_in` as long as the holder's time to live would leave a free lock idle.
pub async fn without_wake_ups_waiters_ask_often(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let holder = context.held(&one).await?;
    let busy = match two.claim(&waiting(context, &holder.name)).await? {
        leasehold_core::Standing::Waiting(busy) | leasehold_core::Standing::Held(busy) => busy,
        other => return ensure(false, "Waiting: another holds it", other),
    };
    let often = Duration::from_secs(1);
    ensure(
        busy.recheck_in <= often,
        format!("a recheck_in of at most {often:?} where nobody is woken"),
        busy.recheck_in,
    )
}

/// Subscriptions that are dropped, in any number, keep nobody out and leave nothing.
pub async fn a_dropped_subscription_is_no_obstacle(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let claim = context.claim(&context.name());
    for _ in 0..32 {
        drop(store.watch(&claim.name, Interest::Turn(claim.id)).await?);
        drop(store.watch(&claim.name, Interest::Changes).await?);
    }
    take(&*store, &claim, "a subscription is no hold").await?;
    let_go(&*store, &claim).await?;
    context.expect_nothing_left(&store, &claim.name, "after dropped subscriptions").await
}
