//! Promise: whatever is dropped, at whatever moment, is given up: guards, waits, clients; and whatever message is lost.

use std::{sync::Arc, time::Duration};

use crate::prelude::*;

cases![
    a_dropped_guard_is_released,
    a_dropped_acquisition_leaves_nothing,
    a_dropped_wait_leaves_the_queue,
    a_wait_that_runs_out_leaves_the_queue,
    a_hand_over_reaches_the_waiting_task,
    closing_gives_up_everything,
    a_ticket_passes_from_client_to_client[DETACH],
    any_lost_message_leaves_nothing,
];

/// Waits until the engine has nothing under way, and fails unless the lock is then free.
async fn given_up(test: &Test, engine: &Engine, other: &Client, name: &LockName, when: &str) -> CaseResult {
    // The watchdog may have to repeat a release whose message was lost, after a pause.
    let until = test.now() + test.slack() + Duration::from_secs(5);
    while engine.claims_alive() > 0 && test.now() < until {
        test.sleep(Duration::from_millis(2)).await;
    }
    let alive = engine.claims_alive();
    ensure(alive == 0, format!("a client with nothing under way {when}"), format!("{alive} claims"))?;
    test.expect_nothing_left(other, name, when).await
}

/// By the watchdog, without anybody waiting for it.
pub async fn a_dropped_guard_is_released(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.long()).await?;
    let name = hold.name().clone();
    drop(hold);
    given_up(test, &engine, &two, &name, "after its guard was dropped").await
}

/// Dropped after 0, 1, 2 … polls: no hold is left, now or later.
pub async fn a_dropped_acquisition_leaves_nothing(test: &Test, (engine, two): Pair) -> CaseResult {
    for polls in 0..64 {
        let (name, terms) = (test.name(), options(test.long()));
        let acquire = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None);
        let done = drop_after(polls, acquire).await.is_some();
        let when = format!("after an acquisition dropped at poll {polls}");
        given_up(test, &engine, &two, &name, &when).await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// The same for one that waits behind another.
pub async fn a_dropped_wait_leaves_the_queue(test: &Test, (engine, two): Pair) -> CaseResult {
    for polls in 0..12 {
        let holder = test.held(&two).await?;
        let terms = options(test.long());
        let acquire = engine.acquire(&holder.name, Mode::Exclusive, &terms, Wait::Forever, None);
        let _ = test.within(Duration::from_millis(20), drop_after(polls, acquire)).await;
        let_go(&two, &holder).await?;
        given_up(test, &engine, &two, &holder.name, &format!("after a wait dropped at poll {polls}")).await?;
    }
    Ok(())
}

/// `None` in time, and no place in the queue.
pub async fn a_wait_that_runs_out_leaves_the_queue(test: &Test, (engine, two): Pair) -> CaseResult {
    let holder = test.held(&two).await?;
    // To connect may take longer than the wait, which would then end without an answer.
    engine.inspect(&holder.name).await?;
    let (patience, begin) = (Duration::from_millis(250), test.now());
    let terms = options(test.long());
    let answer = engine.acquire(&holder.name, Mode::Exclusive, &terms, Wait::For(patience), None).await?;
    let waited = test.now().since(begin);
    ensure(answer.is_none(), "None: another holds it", answer)?;
    let in_time = waited >= patience && waited <= patience + test.slack();
    ensure(in_time, format!("an answer after {patience:?}"), waited)?;
    let_go(&two, &holder).await?;
    given_up(test, &engine, &two, &holder.name, "after a wait that ran out").await
}

/// A task waits; the holder releases; the task has the lock, before long.
pub async fn a_hand_over_reaches_the_waiting_task(test: &Test, (engine, two): Pair) -> CaseResult {
    let holder = test.held(&two).await?;
    let (terms, begin) = (options(test.long()), test.now());
    let (hold, released) =
        tokio::join!(engine.acquire(&holder.name, Mode::Exclusive, &terms, Wait::Forever, None), async {
            test.sleep(Duration::from_millis(30)).await;
            two.release(&holder).await
        });
    released?;
    drop(hold?);
    let took = test.now().since(begin);
    let soon = test.slack() + Duration::from_millis(30);
    ensure(took <= soon, format!("the hand-over within {soon:?}"), took)?;
    given_up(test, &engine, &two, &holder.name, "after the hand-over").await
}

/// Leases that are still held are released.
pub async fn closing_gives_up_everything(test: &Test, (engine, two): Pair) -> CaseResult {
    let mut holds = Vec::new();
    for _ in 0..5 {
        holds.push(test.locked(&engine, test.long()).await?);
    }
    engine.close(test.slack()).await?;
    for hold in &holds {
        ensure(hold.check().is_err(), "a lease that is lost with its client", hold.status())?;
        test.expect_nothing_left(&two, hold.name(), "after its client was closed").await?;
    }
    Ok(())
}

/// Detached by one, adopted by another, with the same token; then released.
pub async fn a_ticket_passes_from_client_to_client(
    test: &Test,
    [one, two, three]: [Client; 3],
) -> CaseResult {
    let (first, second) = (Engine::new(one, test.env.clone()), Engine::new(two, test.env.clone()));
    let hold = test.locked(&first, test.lease_ttl()).await?;
    let fence = hold.fencing_token();
    let ticket = hold.detach(test.long()).await?;
    first.close(test.slack()).await?;
    kept_out(&three, &test.claim(&ticket.name), "a ticket holds it").await?;
    let adopted = second.adopt(&ticket, &LockOptions::default()).await?;
    same(adopted.fencing_token(), fence, "the token of the adopted hold")?;
    adopted.release().await?;
    given_up(test, &second, &three, &ticket.name, "after the adopted hold was released").await
}

/// Lock, wait behind another, unlock, with every message lost in turn: in the end nothing is held and nobody waits.
pub async fn any_lost_message_leaves_nothing(test: &Test, (): ()) -> CaseResult {
    for fault in [Fault::LoseRequest, Fault::LoseReply] {
        for at in 0.. {
            let [one, two] = test.clients().await?;
            let lossy = Arc::new(Chaos::at(one, test.env.clone(), at, fault));
            let engine = Engine::new(lossy.clone(), test.env.clone());
            let (name, terms) = (test.name(), options(test.long()));
            for _ in 0..2 {
                let wait = Wait::For(test.slack() + Duration::from_secs(10));
                let hold = engine.acquire(&name, Mode::Exclusive, &terms, wait, None).await?;
                ensure(hold.is_some(), format!("a hold, though {fault:?} at operation {at}"), &hold)?;
                let rival = two.claim(&test.claim(&name)).await?;
                let alone = !matches!(rival, Standing::Granted(_));
                ensure(alone, format!("one holder, though {fault:?} at operation {at}"), rival)?;
                drop(hold);
            }
            let when = format!("after {fault:?} at operation {at}");
            given_up(test, &engine, &two, &name, &when).await?;
            if lossy.operations() <= at {
                break;
            }
        }
    }
    Ok(())
}
