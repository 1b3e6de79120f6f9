//! Promise: whatever is dropped, at whatever moment, is given up: guards, waits, clients; and whatever message is lost.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Mode, Standing,
    engine::{Engine, LockOptions, Wait},
    layer::{Chaos, Fault},
};

use crate::{
    CaseResult, Client, TestContext,
    drop_after::drop_after,
    loss::{lease_ttl, locked, terms},
    outcome::{ensure, kept_out, let_go},
};

crate::case::cases![
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
async fn given_up(
    context: &TestContext,
    engine: &Engine,
    other: &Client,
    name: &leasehold_core::LockName,
    when: &str,
) -> CaseResult {
    // The watchdog may have to repeat a release whose message was lost, after a pause.
    let until = context.env().now() + context.slack() + Duration::from_secs(5);
    while engine.claims_alive() > 0 && context.env().now() < until {
        context.env().sleep(Duration::from_millis(2)).await;
    }
    let alive = engine.claims_alive();
    ensure(alive == 0, format!("a client with nothing under way {when}"), format!("{alive} claims"))?;
    context.expect_nothing_left(other, name, when).await
}

/// By the watchdog, without anybody waiting for it.
pub async fn a_dropped_guard_is_released(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, context.long()).await?;
    let name = hold.name().clone();
    drop(hold);
    given_up(context, &engine, &two, &name, "after its guard was dropped").await
}

/// Dropped after 0, 1, 2 … polls: no hold is left, now or later.
pub async fn a_dropped_acquisition_leaves_nothing(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    for polls in 0..64 {
        let (name, terms) = (context.name(), terms(context.long()));
        let acquire = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None);
        let done = drop_after(polls, acquire).await.is_some();
        given_up(context, &engine, &two, &name, &format!("after an acquisition dropped at poll {polls}"))
            .await?;
        if done {
            break;
        }
    }
    Ok(())
}

/// The same for one that waits behind another.
pub async fn a_dropped_wait_leaves_the_queue(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    for polls in 0..12 {
        let holder = context.held(&two).await?;
        let terms = terms(context.long());
        let acquire = engine.acquire(&holder.name, Mode::Exclusive, &terms, Wait::Forever, None);
        let soon = context.env().now() + Duration::from_millis(20);
        let _ = context.env().until(soon, drop_after(polls, acquire)).await;
        let_go(&*two, &holder).await?;
        given_up(context, &engine, &two, &holder.name, &format!("after a wait dropped at poll {polls}"))
            .await?;
    }
    Ok(())
}

/// `None` in time, and no place in the queue.
pub async fn a_wait_that_runs_out_leaves_the_queue(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let holder = context.held(&two).await?;
    let (patience, begin) = (Duration::from_millis(60), context.env().now());
    let answer = engine
        .acquire(&holder.name, Mode::Exclusive, &terms(context.long()), Wait::For(patience), None)
        .await?;
    let waited = context.env().now().since(begin);
    ensure(answer.is_none(), "None: another holds it", answer)?;
    let in_time = waited >= patience && waited <= patience + context.slack();
    ensure(in_time, format!("an answer after {patience:?}"), waited)?;
    let_go(&*two, &holder).await?;
    given_up(context, &engine, &two, &holder.name, "after a wait that ran out").await
}

/// A task waits; the holder releases; the task has the lock, before long.
pub async fn a_hand_over_reaches_the_waiting_task(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let holder = context.held(&two).await?;
    let (name, terms) = (holder.name.clone(), terms(context.long()));
    let waiting = engine.clone();
    let wait: leasehold_core::BoxFuture<'static, _> = Box::pin(async move {
        waiting.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await.map(drop)
    });
    let env = context.env().clone();
    let release: leasehold_core::BoxFuture<'static, _> = {
        let (two, holder) = (two.clone(), holder.clone());
        Box::pin(async move {
            env.sleep(Duration::from_millis(30)).await;
            two.release(&holder).await.map(drop)
        })
    };
    let begin = context.env().now();
    for answer in context.together(vec![wait, release]).await? {
        answer?;
    }
    let took = context.env().now().since(begin);
    let soon = context.slack() + Duration::from_millis(30);
    ensure(took <= soon, format!("the hand-over within {soon:?}"), took)?;
    given_up(context, &engine, &two, &holder.name, "after the hand-over").await
}

/// Leases that are still held are released.
pub async fn closing_gives_up_everything(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let mut holds = Vec::new();
    for _ in 0..5 {
        holds.push(locked(context, &engine, context.long()).await?);
    }
    engine.close(context.slack()).await?;
    for hold in &holds {
        ensure(hold.check().is_err(), "a lease that is lost with its client", hold.status())?;
        context.expect_nothing_left(&two, hold.name(), "after its client was closed").await?;
    }
    Ok(())
}

/// Detached by one, adopted by another, with the same token; then released.
pub async fn a_ticket_passes_from_client_to_client(context: &TestContext) -> CaseResult {
    let [one, two, three] = context.clients().await?;
    let (first, second) = (Engine::new(one, context.env().clone()), Engine::new(two, context.env().clone()));
    let hold = locked(context, &first, lease_ttl(context)).await?;
    let fence = hold.fencing_token();
    let ticket = hold.detach(context.long()).await?;
    first.close(context.slack()).await?;
    kept_out(&*three, &context.claim(&ticket.name), "a ticket holds it").await?;
    let adopted = second.adopt(&ticket, &LockOptions::default()).await?;
    crate::outcome::same(adopted.fencing_token(), fence, "the token of the adopted hold")?;
    adopted.release().await?;
    given_up(context, &second, &three, &ticket.name, "after the adopted hold was released").await
}

/// Lock, wait behind another, unlock, with every message lost in turn: in the end nothing is held and nobody waits.
pub async fn any_lost_message_leaves_nothing(context: &TestContext) -> CaseResult {
    for fault in [Fault::LoseRequest, Fault::LoseReply] {
        for at in 0.. {
            let [one, two] = context.clients().await?;
            let lossy = Arc::new(Chaos::at(one, context.env().clone(), at, fault));
            let engine = Engine::new(lossy.clone(), context.env().clone());
            let (name, terms) = (context.name(), terms(context.long()));
            for _ in 0..2 {
                let wait = Wait::For(context.slack() + Duration::from_secs(10));
                let hold = engine.acquire(&name, Mode::Exclusive, &terms, wait, None).await?;
                ensure(hold.is_some(), format!("a hold, though {fault:?} at operation {at}"), &hold)?;
                let rival = two.claim(&context.claim(&name)).await?;
                let alone = !matches!(rival, Standing::Granted(_));
                ensure(alone, format!("one holder, though {fault:?} at operation {at}"), rival)?;
                drop(hold);
            }
            let when = format!("after {fault:?} at operation {at}");
            given_up(context, &engine, &two, &name, &when).await?;
            if lossy.operations() <= at {
                break;
            }
        }
    }
    Ok(())
}
