//! Promise: a holder is notified of the end of its lease, by the store, or by the clock when the store is silent.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    LostReason, Mode, Status,
    engine::{Engine, Hold, LockOptions, Wait},
    layer::{Chaos, Fault, Verb},
};

use crate::{
    CaseResult, Client, Failure, TestContext,
    outcome::{ensure, kept_out, take},
};

crate::case::cases![
    a_watched_lease_lives_on,
    a_forced_release_is_noticed,
    a_silent_store_is_noticed_by_the_deadline,
    a_lost_lease_is_never_taken_up_again,
];

pub(crate) fn terms(ttl: Duration) -> LockOptions {
    let mut terms = LockOptions::default();
    terms.ttl = ttl;
    terms
}

/// The ttl of leases: long enough that a busy machine renews it in time.
pub(crate) fn lease_ttl(context: &TestContext) -> Duration {
    context.ttl() * 5
}

pub(crate) async fn locked(context: &TestContext, engine: &Engine, ttl: Duration) -> Result<Hold, Failure> {
    let hold = engine.acquire(&context.name(), Mode::Exclusive, &terms(ttl), Wait::No, None).await?;
    hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
}

/// The watchdog renews it over several times to live.
pub async fn a_watched_lease_lives_on(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    for _ in 0..3 {
        context.env().sleep(lease_ttl(context)).await;
        ensure(hold.check().is_ok(), "a lease that is renewed in time", hold.status())?;
        kept_out(&*two, &context.claim(hold.name()), "its lease is renewed").await?;
    }
    hold.release().await?;
    Ok(engine.close(context.slack()).await?)
}

/// At the next renewal at the latest.
pub async fn a_forced_release_is_noticed(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    two.force_release(hold.name()).await?;
    let until = context.env().now() + lease_ttl(context) + context.slack();
    let lost = context.env().until(until, hold.lost()).await;
    ensure(lost.is_some_and(|lost| lost.certain), "a loss that the store is sure of", lost)
}

/// The store does not answer any more: the loss signal fires no later than the deadline, and before anybody else
/// can have the lock.
pub async fn a_silent_store_is_noticed_by_the_deadline(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let silent = |_, verb| if verb == Verb::Renew { Fault::Hang } else { Fault::None };
    // `Hang` lets the request through; `LoseRequest` on every renewal is a store that cannot be reached.
    let lost = |_, verb| if verb == Verb::Renew { Fault::LoseRequest } else { Fault::None };
    let env = context.env().clone();
    let stores: [Client; 2] = [
        Arc::new(Chaos::new(one.clone(), env.clone(), lost)),
        Arc::new(Chaos::new(one, env.clone(), silent)),
    ];
    for store in stores {
        let engine = Engine::new(store, env.clone());
        let hold = locked(context, &engine, context.ttl()).await?;
        let deadline = hold.deadline();
        hold.lost().await;
        let late = env.now().since(deadline.max(hold.deadline()));
        ensure(late <= context.slack() / 2, "a loss signal by the deadline", late)?;
        ensure(hold.check().is_err(), "a lost lease from then on", hold.status())?;
        let successor = context.claim(hold.name());
        context.wins(&two, &successor, context.ttl() * 2, "nobody renews it").await?;
    }
    Ok(())
}

/// A lost lease stays lost, also when the same lock is free again.
pub async fn a_lost_lease_is_never_taken_up_again(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    two.force_release(hold.name()).await?;
    let confirmed = hold.confirm().await;
    ensure(confirmed.is_err(), "an error: it was thrown out", &confirmed)?;
    context.env().sleep(lease_ttl(context)).await;
    context.expect_nothing_left(&two, hold.name(), "after a lease was lost").await?;
    let status = hold.status();
    let gone = matches!(status, Status::Lost(lost) if lost.reason == LostReason::ForceReleased || lost.reason == LostReason::Gone);
    ensure(gone, "Lost for ever, with its first reason", status)?;
    let next = context.claim(hold.name());
    take(&*two, &next, "it was freed by force").await?;
    drop(hold);
    engine.close(context.slack()).await?;
    crate::renewal::renewed(&two, &next, "the lost lease's release is not its own").await
}
