//! Promise: subscribe, claim, wait: no wake-up is lost, and nobody is woken in a herd.

use crate::prelude::*;

cases![
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

fn waiting(test: &Test, name: &LockName) -> Claim {
    let queueing = if test.capability.fifo { Queueing::Fifo } else { Queueing::Barging };
    Claim { queueing, ..test.claim(name) }
}

/// Subscribes, then claims and is kept out: ready to wait.
async fn subscribed(store: &Client, claim: &Claim) -> Result<Box<dyn Wake>, Failure> {
    let wake = store.watch(&claim.name, Interest::Turn(claim.id)).await?;
    kept_out(store, claim, "another holds it").await?;
    Ok(wake)
}

/// The same, after the news that is already there.
async fn quietly_subscribed(test: &Test, store: &Client, claim: &Claim) -> Result<Box<dyn Wake>, Failure> {
    let mut wake = subscribed(store, claim).await?;
    drained(test, &mut wake).await?;
    Ok(wake)
}

async fn wakes(test: &Test, wake: &mut Box<dyn Wake>, by: &str) -> CaseResult {
    match test.within(test.slack(), wake.wait()).await {
        Some(news) => Ok(news?),
        None => Err(Failure::new(format!("a wake-up {by}"), format!("none within {:?}", test.slack()))),
    }
}

/// A quiet moment: long enough for news that is on its way to arrive.
fn quiet(test: &Test) -> Duration {
    test.ttl().min(Duration::from_millis(300))
}

/// Takes the news that is already there, until a quiet moment passes; answers how often it was woken.
async fn drained(test: &Test, wake: &mut Box<dyn Wake>) -> Result<usize, Failure> {
    for count in 0..100 {
        match test.within(quiet(test), wake.wait()).await {
            Some(news) => news?,
            None => return Ok(count),
        }
    }
    Err(Failure::new("a subscription that falls quiet when nothing happens", "100 wake-ups in a row"))
}

/// Long before its recheck, a waiter hears of the release.
pub async fn a_release_wakes_the_waiter(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = waiting(test, &holder.name);
    let mut wake = quietly_subscribed(test, &two, &waiter).await?;
    let_go(&one, &holder).await?;
    wakes(test, &mut wake, "by the release").await?;
    take(&two, &waiter, "it was woken by the release").await.map(drop)
}

/// The release that happens after the subscription and before the wait is still news.
pub async fn news_before_the_wait_is_not_lost(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for _ in 0..8 {
        let holder = test.held(&one).await?;
        let waiter = waiting(test, &holder.name);
        let mut wake = subscribed(&two, &waiter).await?;
        let_go(&one, &holder).await?;
        wakes(test, &mut wake, "by a release between subscription and wait").await?;
        take(&two, &waiter, "the holder has released").await?;
    }
    Ok(())
}

/// A wait that was dropped loses nothing: the next one is answered.
pub async fn news_between_two_waits_is_not_lost(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = waiting(test, &holder.name);
    let mut wake = quietly_subscribed(test, &two, &waiter).await?;
    let _ = test.within(Duration::from_millis(5), wake.wait()).await;
    let_go(&one, &holder).await?;
    wakes(test, &mut wake, "by a release after a wait that was given up").await
}

/// A subscription to changes wakes on a grant, a new note, a release and a forced release.
pub async fn changes_are_announced(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.claim(&test.name());
    let mut wake = two.watch(&claim.name, Interest::Changes).await?;
    take(&one, &claim, "the lock is free").await?;
    wakes(test, &mut wake, "by the grant").await?;
    drained(test, &mut wake).await?;
    let noted = Claim { intent: Intent::Amend, note: Some("new".into()), ..claim.clone() };
    take(&one, &noted, "it is held").await?;
    if test.capability.notes {
        wakes(test, &mut wake, "by a new note").await?;
    }
    drained(test, &mut wake).await?;
    let_go(&one, &claim).await?;
    wakes(test, &mut wake, "by the release").await?;
    take(&one, &test.claim(&claim.name), "the lock is free").await?;
    drained(test, &mut wake).await?;
    one.force_release(&claim.name).await?;
    wakes(test, &mut wake, "by a forced release").await
}

/// Six wait; a release wakes the first, and the others sleep on.
pub async fn a_hand_over_wakes_only_who_can_run(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let mut sleepers = Vec::new();
    for _ in 0..6 {
        let waiter = waiting(test, &holder.name);
        sleepers.push(subscribed(&two, &waiter).await?);
    }
    for wake in &mut sleepers {
        drained(test, wake).await?;
    }
    let_go(&one, &holder).await?;
    wakes(test, &mut sleepers[0], "of the first in the queue").await?;
    let mut herd = Vec::new();
    for (place, wake) in sleepers.iter_mut().enumerate().skip(1) {
        if drained(test, wake).await? > 0 {
            herd.push(place);
        }
    }
    ensure(herd.is_empty(), "only the first of six is woken by a hand-over", format!("also woken: {herd:?}"))
}

/// When a writer goes, the readers behind it all hear of it.
pub async fn all_readers_are_woken_together(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let writer = test.held(&one).await?;
    let mut readers = Vec::new();
    for store in [&one, &two, &two] {
        let reader = Claim { mode: Mode::Shared, ..waiting(test, &writer.name) };
        readers.push((store, subscribed(store, &reader).await?, reader));
    }
    let_go(&one, &writer).await?;
    for (store, wake, reader) in &mut readers {
        wakes(test, wake, "of every reader behind the writer").await?;
        take(store, reader, "the writer has gone").await?;
    }
    Ok(())
}

/// Two places, a queue of `[a, b, me]`: whichever of the two goes frees a place, so watching one is not enough.
pub async fn either_of_two_permits_wakes(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    for goes in 0..2 {
        let name = test.name();
        let permit = || Claim { mode: Mode::Permits { take: 1, of: 2 }, ..waiting(test, &name) };
        let holders = [permit(), permit()];
        for holder in &holders {
            take(&one, holder, "a permit is left").await?;
        }
        let me = permit();
        let mut wake = quietly_subscribed(test, &two, &me).await?;
        let_go(&one, &holders[goes]).await?;
        wakes(test, &mut wake, &format!("by holder {goes} of two permits")).await?;
        take(&two, &me, "a permit was given back").await?;
    }
    Ok(())
}

/// reader (holds), writer, reader: when the writer gives up, the reader behind it can run, and hears of it.
pub async fn a_waiter_that_leaves_wakes_the_next(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let first = test.grant(&one, test.reader(&test.name())).await?;
    let writer = waiting(test, &first.name);
    queued(&one, &writer, "a reader holds it").await?;
    let second = Claim { mode: Mode::Shared, ..waiting(test, &first.name) };
    let mut wake = quietly_subscribed(test, &two, &second).await?;
    let_go(&one, &writer).await?;
    wakes(test, &mut wake, "by a writer that left the queue").await?;
    take(&two, &second, "only a reader holds it").await.map(drop)
}

/// Force is news too.
pub async fn a_forced_release_wakes_the_waiter(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = waiting(test, &holder.name);
    let mut wake = quietly_subscribed(test, &two, &waiter).await?;
    one.force_release(&holder.name).await?;
    wakes(test, &mut wake, "by a forced release").await?;
    take(&two, &waiter, "the holder was thrown out").await.map(drop)
}

/// A writer that becomes a reader lets the waiting readers in.
pub async fn a_downgrade_wakes_the_readers(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let writer = test.held(&one).await?;
    let reader = Claim { mode: Mode::Shared, ..waiting(test, &writer.name) };
    let mut wake = quietly_subscribed(test, &two, &reader).await?;
    let downgraded = Claim { mode: Mode::Shared, intent: Intent::Amend, ..writer };
    take(&one, &downgraded, "a downgrade is always granted").await?;
    wakes(test, &mut wake, "by a downgrade").await?;
    take(&two, &reader, "only a reader holds it").await.map(drop)
}

/// The end of the holder's client is news where the store sees it.
pub async fn a_client_that_ends_wakes_the_waiter(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.grant(&one, Claim { binding: Binding::Client, ..test.claim(&test.name()) }).await?;
    let waiter = waiting(test, &holder.name);
    let mut wake = quietly_subscribed(test, &two, &waiter).await?;
    one.close().await?;
    wakes(test, &mut wake, "by the end of the holder's client").await?;
    take(&two, &waiter, "the holder's client has ended").await.map(drop)
}

/// A subscription to changes wakes when the queue grows.
pub async fn a_new_waiter_is_a_change(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let mut wake = two.watch(&holder.name, Interest::Changes).await?;
    drained(test, &mut wake).await?;
    queued(&one, &waiting(test, &holder.name), "another holds it").await?;
    wakes(test, &mut wake, "by a new waiter").await
}

/// Wake-ups are hints: who only ever asks again after `recheck_in` gets in too.
pub async fn the_recheck_is_enough_without_any_wake(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held_briefly(&one).await?;
    let waiter = waiting(test, &holder.name);
    let until = test.now() + holder.ttl + test.slack();
    loop {
        use Standing::{Granted, Held, Waiting};
        match two.claim(&waiter).await? {
            Granted(_) if test.now() < until => return Ok(()),
            Held(busy) | Waiting(busy) if test.now() < until => {
                test.sleep(busy.recheck_in.max(Duration::from_millis(1))).await;
            }
            other => return ensure(false, "Granted in time: the hold was not renewed", other),
        }
    }
}

/// A store that cannot wake does not return at once either: its waiters would spin.
pub async fn without_wake_ups_wait_is_for_ever(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let mut wake = subscribed(&two, &waiting(test, &holder.name)).await?;
    let news = test.within(quiet(test), wake.wait()).await;
    ensure(news.is_none(), "no return from a wait without wake-ups", news)
}

/// Nobody tells them of a release: a `recheck_in` as long as the holder's time to live would leave a free lock idle.
pub async fn without_wake_ups_waiters_ask_often(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let busy = match two.claim(&waiting(test, &holder.name)).await? {
        Standing::Waiting(busy) | Standing::Held(busy) => busy,
        other => return ensure(false, "Waiting: another holds it", other),
    };
    let often = Duration::from_secs(1);
    let expected = format!("a recheck_in of at most {often:?} where nobody is woken");
    ensure(busy.recheck_in <= often, expected, busy.recheck_in)
}

/// Subscriptions that are dropped, in any number, keep nobody out and leave nothing.
pub async fn a_dropped_subscription_is_no_obstacle(test: &Test, store: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    for _ in 0..32 {
        drop(store.watch(&claim.name, Interest::Turn(claim.id)).await?);
        drop(store.watch(&claim.name, Interest::Changes).await?);
    }
    take(&store, &claim, "a subscription is no hold").await?;
    let_go(&store, &claim).await?;
    test.expect_nothing_left(&store, &claim.name, "after dropped subscriptions").await
}
