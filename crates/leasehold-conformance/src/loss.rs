//! Promise: whoever holds a lease knows when it ends: told by the store, or by the clock when the store is silent.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    LostReason, Mode, Status,
    engine::{Engine, Hold, LockOptions, Wait},
    layer::{Chaos, Fault, Verb},
};

use crate::{
    Client, Failure, Scene, Verdict,
    verdict::{ensure, kept_out, take},
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
pub(crate) fn lease_ttl(scene: &Scene) -> Duration {
    scene.ttl() * 5
}

pub(crate) async fn locked(scene: &Scene, engine: &Engine, ttl: Duration) -> Result<Hold, Failure> {
    let hold = engine.acquire(&scene.name(), Mode::Exclusive, &terms(ttl), Wait::No, None).await?;
    hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
}

/// The watchdog renews it over several times to live.
pub async fn a_watched_lease_lives_on(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    for _ in 0..3 {
        scene.env().sleep(lease_ttl(scene)).await;
        ensure(hold.check().is_ok(), "a lease that is renewed in time", hold.status())?;
        kept_out(&*two, &scene.claim(hold.name()), "its lease is renewed").await?;
    }
    hold.release().await?;
    Ok(engine.close(scene.slack()).await?)
}

/// At the next renewal at the latest.
pub async fn a_forced_release_is_noticed(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    two.force_release(hold.name()).await?;
    let until = scene.env().now() + lease_ttl(scene) + scene.slack();
    let lost = scene.env().until(until, hold.lost()).await;
    ensure(lost.is_some_and(|lost| lost.certain), "a loss that the store is sure of", lost)
}

/// The store does not answer any more: the loss signal fires no later than the deadline, and before anybody else
/// can have the lock.
pub async fn a_silent_store_is_noticed_by_the_deadline(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let silent = |_, verb| if verb == Verb::Renew { Fault::Hang } else { Fault::None };
    // `Hang` lets the request through; `LoseRequest` on every renewal is a store that cannot be reached.
    let lost = |_, verb| if verb == Verb::Renew { Fault::LoseRequest } else { Fault::None };
    let env = scene.env().clone();
    let stores: [Client; 2] = [
        Arc::new(Chaos::new(one.clone(), env.clone(), lost)),
        Arc::new(Chaos::new(one, env.clone(), silent)),
    ];
    for store in stores {
        let engine = Engine::new(store, env.clone());
        let hold = locked(scene, &engine, scene.ttl()).await?;
        let deadline = hold.deadline();
        hold.lost().await;
        let late = env.now().since(deadline.max(hold.deadline()));
        ensure(late <= scene.slack() / 2, "a loss signal by the deadline", late)?;
        ensure(hold.check().is_err(), "a lost lease from then on", hold.status())?;
        let successor = scene.claim(hold.name());
        scene.wins(&two, &successor, scene.ttl() * 2, "nobody renews it").await?;
    }
    Ok(())
}

/// What is lost stays lost, also when the same lock is free again.
pub async fn a_lost_lease_is_never_taken_up_again(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let engine = Engine::new(one, scene.env().clone());
    let hold = locked(scene, &engine, lease_ttl(scene)).await?;
    two.force_release(hold.name()).await?;
    let confirmed = hold.confirm().await;
    ensure(confirmed.is_err(), "an error: it was thrown out", &confirmed)?;
    scene.env().sleep(lease_ttl(scene)).await;
    scene.expect_nothing_left(&two, hold.name(), "after a lease was lost").await?;
    let status = hold.status();
    let gone = matches!(status, Status::Lost(lost) if lost.reason == LostReason::ForceReleased || lost.reason == LostReason::Gone);
    ensure(gone, "Lost for ever, with its first reason", status)?;
    let next = scene.claim(hold.name());
    take(&*two, &next, "it was freed by force").await?;
    drop(hold);
    engine.close(scene.slack()).await?;
    crate::renewal::renewed(&two, &next, "the lost lease's release is not its own").await
}
