//! Promise: a holder can be told that somebody waits for what it holds, and hears nothing while nobody does.

use std::{future::Future, time::Duration};

use leasehold_core::{
    Claim, Contender, ErrorKind, Mode, Queueing,
    engine::{Engine, Hold, Wait},
};

use crate::{
    Failure, Scene, Verdict,
    loss::{lease_ttl, locked, terms},
    verdict::{ensure, kept_out, let_go, same, take},
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
fn late(scene: &Scene) -> Duration {
    let pause = if scene.capability().wakes { Duration::ZERO } else { Duration::from_secs(1) };
    scene.slack() + pause
}

/// Who is heard of within `span`.
async fn heard(scene: &Scene, hold: &Hold, span: Duration) -> Result<Option<Contender>, Failure> {
    let until = scene.env().now() + span;
    Ok(scene.env().until(until, hold.contended()).await.transpose()?)
}

/// Listens, and lets something happen when it is likely that the store has been subscribed to.
async fn meanwhile(
    scene: &Scene,
    hold: &Hold,
    span: Duration,
    happens: impl Future<Output = Verdict>,
) -> Result<Option<Contender>, Failure> {
    let before = Duration::from_millis(100);
    let (heard, happened) = tokio::join!(heard(scene, hold, before + span), async {
        scene.env().sleep(before).await;
        happens.await
    });
    happened?;
    heard
}

fn waiter(scene: &Scene, hold: &Hold) -> Claim {
    Claim { queueing: Queueing::Barging, note: Some("wants it".into()), ..scene.claim(hold.name()) }
}

fn is(heard: Option<&Contender>, claim: &Claim) -> Verdict {
    same(heard.map(|waiter| waiter.tag), Some(Contender::tag_of(claim.id)), "the tag of who waits")
}

async fn held(scene: &Scene, engine: &Engine, mode: Mode) -> Result<Hold, Failure> {
    let terms = terms(lease_ttl(scene));
    let hold = engine.acquire(&scene.name(), mode, &terms, Wait::No, None).await?;
    hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
}

/// It was listening before; afterwards the waiter gets what was given back.
pub async fn a_holder_hears_of_a_waiter(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    let claim = waiter(scene, &hold);
    let heard = meanwhile(scene, &hold, late(scene), kept_out(&*two, &claim, "another holds it")).await?;
    is(heard.as_ref(), &claim)?;
    hold.release().await?;
    scene.wins(&two, &claim, Duration::ZERO, "it was given back").await?;
    let_go(&*two, &claim).await
}

/// News from before the question is not lost, and is told as often as it is asked for.
pub async fn a_holder_that_asks_late_hears_of_who_waits_already(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    let claim = waiter(scene, &hold);
    kept_out(&*two, &claim, "another holds it").await?;
    for _ in 0..2 {
        is(heard(scene, &hold, late(scene)).await?.as_ref(), &claim)?;
    }
    two.release(&claim).await?;
    let left = heard(scene, &hold, scene.slack() / 2).await?;
    ensure(left.is_none(), "nobody: the waiter has left", left)
}

/// Its own renewals are no news, nor is what happens to other locks.
pub async fn a_holder_that_nobody_waits_for_hears_nothing(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    let other = scene.claim(&scene.named(format!("{}/x", hold.name()))?);
    let heard = meanwhile(scene, &hold, scene.ttl() * 2, async {
        take(&*two, &other, "the other lock is free").await?;
        let claim = Claim { queueing: Queueing::Barging, ..scene.claim(&other.name) };
        kept_out(&*two, &claim, "another holds it").await?;
        two.release(&claim).await?;
        let_go(&*two, &other).await
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody", heard)
}

/// It is gone before anybody could give something back.
pub async fn who_only_tries_is_not_heard_of(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    let heard = meanwhile(scene, &hold, late(scene), async {
        for _ in 0..5 {
            kept_out(&*two, &scene.claim(hold.name()), "another holds it").await?;
        }
        Ok(())
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: nobody waits", heard)
}

/// Another reader comes in; a writer has to wait.
pub async fn readers_hear_of_a_writer_and_not_of_readers(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = held(scene, &engine, Mode::Shared).await?;
    let reader = Claim { mode: Mode::Shared, ..waiter(scene, &hold) };
    let heard = meanwhile(scene, &hold, scene.slack() / 2, async {
        take(&*two, &reader, "readers hold together").await.map(drop)
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: the other reader was let in", heard)?;
    let writer = waiter(scene, &hold);
    let heard = meanwhile(scene, &hold, late(scene), kept_out(&*two, &writer, "readers hold it")).await?;
    is(heard.as_ref(), &writer)?;
    two.release(&writer).await?;
    let_go(&*two, &reader).await
}

/// As long as there is a place for everybody, nobody waits.
pub async fn permits_are_contended_when_they_do_not_suffice(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let mode = Mode::Permits { take: 1, of: 2 };
    let hold = held(scene, &engine, mode).await?;
    let [second, third] = [(); 2].map(|()| Claim { mode, ..waiter(scene, &hold) });
    let heard = meanwhile(scene, &hold, scene.slack() / 2, async {
        take(&*two, &second, "there is a second place").await.map(drop)
    });
    let heard = heard.await?;
    ensure(heard.is_none(), "nobody: there was a place", heard)?;
    let heard = meanwhile(scene, &hold, late(scene), kept_out(&*two, &third, "both are taken")).await?;
    is(heard.as_ref(), &third)?;
    two.release(&third).await?;
    let_go(&*two, &second).await
}

/// Whoever listens is told of the loss, and does not go on listening for another's lock.
pub async fn a_lost_lease_ends_the_listening(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    two.force_release(hold.name()).await?;
    let until = scene.env().now() + lease_ttl(scene) + scene.slack();
    let answer = scene.env().until(until, hold.contended()).await;
    let lost = matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Lost);
    ensure(lost, "an error of kind Lost", answer)
}

/// What the store cannot see is refused, not waited for in vain.
pub async fn a_store_that_does_not_see_waiters_refuses(scene: &Scene) -> Verdict {
    let engine = Engine::new(scene.client().await?, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    let answer = scene.env().until(scene.env().now() + scene.slack(), hold.contended()).await;
    let refused = matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::Unsupported);
    ensure(refused, "an error of kind Unsupported", answer)
}
