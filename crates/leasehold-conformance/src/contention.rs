//! Promise: a holder can be told that somebody waits for what it holds, and hears nothing while nobody does.

use std::{future::Future, time::Duration};

use leasehold_core::{
    Claim, Contender, ErrorKind, Mode, Queueing,
    engine::{Engine, Hold, Wait},
};

use crate::{
    CaseResult, Failure, TestContext,
    loss::{lease_ttl, locked, terms},
    outcome::{ensure, kept_out, let_go, same, take},
};

crate::case::cases![
    a_holder_hears_of_a_waiter [WAITERS],
    a_holder_that_asks_late_hears_of_who_waits_already [WAITERS],
    a_holder_that_nobody_waits_for_hears_nothing [WAITERS],
    who_only_tries_is_not_heard_of [WAITERS],
    readers_hear_of_a_writer_and_not_of_readers [WAITERS, SHARED],
    permits_are_contended_when_they_do_not_suffice [WAITERS, PERMITS],
    a_lost_lease_ends_the_listening [WAITERS],
    a_store_that_does_not_see_waiters_refuses [NO_WAITERS],
];

/// How late news may be: a store that wakes nobody is looked at once a second.
fn late(context: &TestContext) -> Duration {
    let pause = if context.capability().wakes { Duration::ZERO } else { Duration::from_secs(1) };
    context.slack() + pause
}

/// The contender reported within `span`.
async fn heard(context: &TestContext, hold: &Hold, span: Duration) -> Result<Option<Contender>, Failure> {
    let until = context.env().now() + span;
    Ok(context.env().until(until, hold.contended()).await.transpose()?)
}

/// Listens, and lets something happen when it is likely that the store has been subscribed to.
async fn meanwhile(
    context: &TestContext,
    hold: &Hold,
    span: Duration,
    happens: impl Future<Output = CaseResult>,
) -> Result<Option<Contender>, Failure> {
    let before = Duration::from_millis(100);
    let (heard, happened) = tokio::join!(heard(context, hold, before + span), async {
        context.env().sleep(before).await;
        happens.await
    });
    happened?;
    heard
}

fn waiter(context: &TestContext, hold: &Hold) -> Claim {
    Claim { queueing: Queueing::Barging, note: Some("wants it".into()), ..context.claim(hold.name()) }
}

fn is(heard: Option<&Contender>, claim: &Claim) -> CaseResult {
    same(heard.map(|waiter| waiter.tag), Some(Contender::tag_of(claim.id)), "the tag of who waits")
}

async fn held(context: &TestContext, engine: &Engine, mode: Mode) -> Result<Hold, Failure> {
    let terms = terms(lease_ttl(context));
    let hold = engine.acquire(&context.name(), mode, &terms, Wait::No, None).await?;
    hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
}

/// It was listening before; afterwards the waiter gets what was given back.
pub async fn a_holder_hears_of_a_waiter(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    let claim = waiter(context, &hold);
    let heard = meanwhile(context, &hold, late(context), kept_out(&*two, &claim, "another holds it")).await?;
    is(heard.as_ref(), &claim)?;
    hold.release().await?;
    context.wins(&two, &claim, Duration::ZERO, "it was given back").await?;
    let_go(&*two, &claim).await
}

/// News from before the question is not lost, and is told as often as it is asked for.
pub async fn a_holder_that_asks_late_hears_of_who_waits_already(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    let claim = waiter(context, &hold);
    kept_out(&*two, &claim, "another holds it").await?;
    for _ in 0..2 {
        is(heard(context, &hold, late(context)).await?.as_ref(), &claim)?;
    }
    two.release(&claim).await?;
    let left = heard(context, &hold, context.slack() / 2).await?;
    ensure(left.is_none(), "nobody: the waiter has left", left)
}

/// Its own renewals are no news, nor is what happens to other locks.
pub async fn a_holder_that_nobody_waits_for_hears_nothing(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    let other = context.claim(&context.named(format!("{}/x", hold.name()))?);
    let heard = meanwhile(context, &hold, context.ttl() * 2, async {
        take(&*two, &other, "the other lock is free").await?;
        let claim = Claim { queueing: Queueing::Barging, ..context.claim(&other.name) };
        kept_out(&*two, &claim, "another holds it").await?;
        two.release(&claim).await?;
        let_go(&*two, &other).await
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody", heard)
}

/// It is gone before anybody could give something back.
pub async fn who_only_tries_is_not_heard_of(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    let heard = meanwhile(context, &hold, late(context), async {
        for _ in 0..5 {
            kept_out(&*two, &context.claim(hold.name()), "another holds it").await?;
        }
        Ok(())
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: nobody waits", heard)
}

/// Another reader comes in; a writer has to wait.
pub async fn readers_hear_of_a_writer_and_not_of_readers(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = held(context, &engine, Mode::Shared).await?;
    let reader = Claim { mode: Mode::Shared, ..waiter(context, &hold) };
    let heard = meanwhile(context, &hold, context.slack() / 2, async {
        take(&*two, &reader, "readers hold together").await.map(drop)
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: the other reader was let in", heard)?;
    let writer = waiter(context, &hold);
    let heard = meanwhile(context, &hold, late(context), kept_out(&*two, &writer, "readers hold it")).await?;
    is(heard.as_ref(), &writer)?;
    two.release(&writer).await?;
    let_go(&*two, &reader).await
}

/// As long as there is a place for everybody, nobody waits.
pub async fn permits_are_contended_when_they_do_not_suffice(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let mode = Mode::Permits { take: 1, of: 2 };
    let hold = held(context, &engine, mode).await?;
    let [second, third] = [(); 2].map(|()| Claim { mode, ..waiter(context, &hold) });
    let heard = meanwhile(context, &hold, context.slack() / 2, async {
        take(&*two, &second, "there is a second place").await.map(drop)
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: there was a place", heard)?;
    let heard = meanwhile(context, &hold, late(context), kept_out(&*two, &third, "both are taken")).await?;
    is(heard.as_ref(), &third)?;
    two.release(&third).await?;
    let_go(&*two, &second).await
}

/// The loss ends the wait for contention: it does not go on for another holder's lock.
pub async fn a_lost_lease_ends_the_listening(context: &TestContext) -> CaseResult {
    let (engine, two) = context.engine_and_client().await?;
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    two.force_release(hold.name()).await?;
    let until = context.env().now() + lease_ttl(context) + context.slack();
    let answer = context.env().until(until, hold.contended()).await;
    let lost = matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Lost);
    ensure(lost, "an error of kind Lost", answer)
}

/// A store that does not know its waiters refuses, instead of waiting in vain.
pub async fn a_store_that_does_not_see_waiters_refuses(context: &TestContext) -> CaseResult {
    let engine = Engine::new(context.client().await?, context.env().clone());
    let hold = locked(context, &engine, lease_ttl(context)).await?;
    let answer = context.env().until(context.env().now() + context.slack(), hold.contended()).await;
    let refused = matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Unsupported);
    ensure(refused, "an error of kind Unsupported", answer)
}
