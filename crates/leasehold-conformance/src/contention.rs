//! Promise: a holder can be told that somebody waits for what it holds, and hears nothing while nobody does.

use std::{future::Future, time::Duration};

use crate::prelude::*;

cases![
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
fn late(test: &Test) -> Duration {
    let pause = if test.capability.wakes { Duration::ZERO } else { Duration::from_secs(1) };
    test.slack() + pause
}

/// The contender reported within `span`.
async fn heard(test: &Test, hold: &Hold, span: Duration) -> Result<Option<Contender>, Failure> {
    Ok(test.within(span, hold.contended()).await.transpose()?)
}

/// Fails unless the listening ends with an error of this kind.
async fn ends(test: &Test, hold: &Hold, span: Duration, kind: ErrorKind) -> CaseResult {
    let answer = test.within(span, hold.contended()).await;
    let ended = matches!(&answer, Some(Err(error)) if error.kind() == kind);
    ensure(ended, format!("an error of kind {kind:?}"), answer)
}

/// Listens, and lets something happen when it is likely that the store has been subscribed to.
async fn meanwhile(
    test: &Test,
    hold: &Hold,
    span: Duration,
    happens: impl Future<Output = CaseResult>,
) -> Result<Option<Contender>, Failure> {
    let before = Duration::from_millis(100);
    let (heard, happened) = tokio::join!(heard(test, hold, before + span), async {
        test.sleep(before).await;
        happens.await
    });
    happened?;
    heard
}

fn waiter(test: &Test, hold: &Hold) -> Claim {
    Claim { note: Some("wants it".into()), ..test.barging(hold.name()) }
}

fn is(heard: Option<&Contender>, claim: &Claim) -> CaseResult {
    same(heard.map(|waiter| waiter.tag), Some(Contender::tag_of(claim.id)), "the tag of who waits")
}

async fn held(test: &Test, engine: &Engine, mode: Mode) -> Result<Hold, Failure> {
    let terms = options(test.lease_ttl());
    let hold = engine.acquire(&test.name(), mode, &terms, Wait::No, None).await?;
    hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
}

/// It was listening before; afterwards the waiter gets what was given back.
pub async fn a_holder_hears_of_a_waiter(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    let claim = waiter(test, &hold);
    let heard = meanwhile(test, &hold, late(test), kept_out(&two, &claim, "another holds it")).await?;
    is(heard.as_ref(), &claim)?;
    hold.release().await?;
    test.wins(&two, &claim, Duration::ZERO, "it was given back").await?;
    let_go(&two, &claim).await
}

/// News from before the question is not lost, and is told as often as it is asked for.
pub async fn a_holder_that_asks_late_hears_of_who_waits_already(
    test: &Test,
    (engine, two): Pair,
) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    let claim = waiter(test, &hold);
    kept_out(&two, &claim, "another holds it").await?;
    for _ in 0..2 {
        is(heard(test, &hold, late(test)).await?.as_ref(), &claim)?;
    }
    two.release(&claim).await?;
    let left = heard(test, &hold, test.slack() / 2).await?;
    ensure(left.is_none(), "nobody: the waiter has left", left)
}

/// Its own renewals are no news, nor is what happens to other locks.
pub async fn a_holder_that_nobody_waits_for_hears_nothing(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    let other = test.claim(&test.named(format!("{}/x", hold.name()))?);
    let heard = meanwhile(test, &hold, test.ttl() * 2, async {
        take(&two, &other, "the other lock is free").await?;
        let claim = test.barging(&other.name);
        kept_out(&two, &claim, "another holds it").await?;
        two.release(&claim).await?;
        let_go(&two, &other).await
    })
    .await?;
    ensure(heard.is_none(), "nobody", heard)
}

/// It is gone before anybody could give something back.
pub async fn who_only_tries_is_not_heard_of(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    let heard = meanwhile(test, &hold, late(test), async {
        for _ in 0..5 {
            kept_out(&two, &test.claim(hold.name()), "another holds it").await?;
        }
        Ok(())
    })
    .await?;
    ensure(heard.is_none(), "nobody: nobody waits", heard)
}

/// Another reader comes in; a writer has to wait.
pub async fn readers_hear_of_a_writer_and_not_of_readers(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = held(test, &engine, Mode::Shared).await?;
    let reader = Claim { mode: Mode::Shared, ..waiter(test, &hold) };
    let heard = meanwhile(test, &hold, test.slack() / 2, async {
        take(&two, &reader, "readers hold together").await.map(drop)
    })
    .await?;
    ensure(heard.is_none(), "nobody: the other reader was let in", heard)?;
    let writer = waiter(test, &hold);
    let heard = meanwhile(test, &hold, late(test), kept_out(&two, &writer, "readers hold it")).await?;
    is(heard.as_ref(), &writer)?;
    two.release(&writer).await?;
    let_go(&two, &reader).await
}

/// As long as there is a place for everybody, nobody waits.
pub async fn permits_are_contended_when_they_do_not_suffice(test: &Test, (engine, two): Pair) -> CaseResult {
    let mode = Mode::Permits { take: 1, of: 2 };
    let hold = held(test, &engine, mode).await?;
    let [second, third] = [(); 2].map(|()| Claim { mode, ..waiter(test, &hold) });
    let heard = meanwhile(test, &hold, test.slack() / 2, async {
        take(&two, &second, "there is a second place").await.map(drop)
    })
    .await?;
    ensure(heard.is_none(), "nobody: there was a place", heard)?;
    let heard = meanwhile(test, &hold, late(test), kept_out(&two, &third, "both are taken")).await?;
    is(heard.as_ref(), &third)?;
    two.release(&third).await?;
    let_go(&two, &second).await
}

/// The loss ends the wait for contention: it does not go on for another holder's lock.
pub async fn a_lost_lease_ends_the_listening(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    two.force_release(hold.name()).await?;
    ends(test, &hold, test.lease_ttl() + test.slack(), ErrorKind::Lost).await
}

/// A store that does not know its waiters refuses, instead of waiting in vain.
pub async fn a_store_that_does_not_see_waiters_refuses(test: &Test, (engine, _): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    ends(test, &hold, test.slack(), ErrorKind::Unsupported).await
}
