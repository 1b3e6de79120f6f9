//! Promise: a holder is notified of the end of its lease, by the store, or by the clock when the store is silent.

use std::sync::Arc;

use crate::prelude::*;

cases![
    a_watched_lease_lives_on,
    a_forced_release_is_noticed,
    a_silent_store_is_noticed_by_the_deadline,
    a_lost_lease_is_never_taken_up_again,
];

/// The watchdog renews it over several times to live.
pub async fn a_watched_lease_lives_on(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    for _ in 0..3 {
        test.sleep(test.lease_ttl()).await;
        ensure(hold.check().is_ok(), "a lease that is renewed in time", hold.status())?;
        kept_out(&two, &test.claim(hold.name()), "its lease is renewed").await?;
    }
    hold.release().await?;
    Ok(engine.close(test.slack()).await?)
}

/// At the next renewal at the latest.
pub async fn a_forced_release_is_noticed(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    two.force_release(hold.name()).await?;
    let lost = test.within(test.lease_ttl() + test.slack(), hold.lost()).await;
    ensure(lost.is_some_and(|lost| lost.certain), "a loss that the store is sure of", lost)
}

/// The store does not answer any more: the loss signal fires no later than the deadline, and before anybody else
/// can have the lock.
pub async fn a_silent_store_is_noticed_by_the_deadline(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let silent = |_, verb| if verb == Verb::Renew { Fault::Hang } else { Fault::None };
    // `Hang` lets the request through; `LoseRequest` on every renewal is a store that cannot be reached.
    let lost = |_, verb| if verb == Verb::Renew { Fault::LoseRequest } else { Fault::None };
    let env = test.env.clone();
    let stores: [Client; 2] = [
        Arc::new(Chaos::new(one.clone(), env.clone(), lost)),
        Arc::new(Chaos::new(one, env.clone(), silent)),
    ];
    for store in stores {
        let engine = Engine::new(store, env.clone());
        let hold = test.locked(&engine, test.ttl()).await?;
        let deadline = hold.deadline();
        hold.lost().await;
        let late = env.now().since(deadline.max(hold.deadline()));
        ensure(late <= test.slack() / 2, "a loss signal by the deadline", late)?;
        ensure(hold.check().is_err(), "a lost lease from then on", hold.status())?;
        let successor = test.claim(hold.name());
        test.wins(&two, &successor, test.ttl() * 2, "nobody renews it").await?;
    }
    Ok(())
}

/// A lost lease stays lost, also when the same lock is free again.
pub async fn a_lost_lease_is_never_taken_up_again(test: &Test, (engine, two): Pair) -> CaseResult {
    let hold = test.locked(&engine, test.lease_ttl()).await?;
    two.force_release(hold.name()).await?;
    let confirmed = hold.confirm().await;
    ensure(confirmed.is_err(), "an error: it was thrown out", &confirmed)?;
    test.sleep(test.lease_ttl()).await;
    test.expect_nothing_left(&two, hold.name(), "after a lease was lost").await?;
    let status = hold.status();
    let gone = matches!(status, Status::Lost(lost) if [LostReason::ForceReleased, LostReason::Gone].contains(&lost.reason));
    ensure(gone, "Lost for ever, with its first reason", status)?;
    let next = test.claim(hold.name());
    take(&two, &next, "it was freed by force").await?;
    drop(hold);
    engine.close(test.slack()).await?;
    renewed(&two, &next, "the lost lease's release is not its own").await
}
