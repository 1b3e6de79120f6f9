//! What happens to a claim whose owner has gone: carried to the end of its request, then released.

use std::{sync::Arc, time::Duration};

use super::registry::{CountGuard, Registry};
use crate::{
    BoxFuture, Claim, Env, Error, ErrorKind, Mechanism, Moment, Result, Standing, Store, decide::backoff,
};

/// The longest first pause before a release is tried again.
const SOONEST: Duration = Duration::from_millis(50);

/// The longest pause between two tries.
const LATEST: Duration = Duration::from_secs(2);

/// A claim on its way to the store.
pub(super) type Request = BoxFuture<'static, Result<Standing>>;

/// A claim to be given up by the watchdog.
pub(super) struct PendingRelease {
    pub(super) claim: Claim,
    /// The request that was under way when its owner went. It is polled to its end first: a release that overtook
    /// it would leave a hold that nobody knows of.
    pub(super) under_way: Option<Request>,
    pub(super) alive: Option<CountGuard>,
    pub(super) counted: CountGuard,
}

/// Carries out an order. Repeats the release until the store has answered, or the ttl has ended the claim anyway.
pub(super) async fn carry_out(
    order: PendingRelease,
    store: Arc<dyn Store>,
    env: Env,
    registry: Arc<Registry>,
) {
    let PendingRelease { claim, under_way, alive, counted } = order;
    if let Some(request) = under_way.filter(|_| env.keeps(Mechanism::CarriedToItsEnd)) {
        // Stores bound their requests by a timeout; should one hang for ever, it is dropped after a ttl. Delivered
        // even later, it would hold for one ttl more and no longer.
        let _ = env.until(env.now() + claim.ttl, request).await;
    }
    let turn = registry.turn().await;
    release_until(&claim, env.now() + claim.ttl, &store, &env).await;
    drop(turn);
    drop((alive, counted));
}

async fn release_until(claim: &Claim, end: Moment, store: &Arc<dyn Store>, env: &Env) {
    // Somebody may wait for a lock of ten minutes whose holder is done with it.
    let (base, max) = ((claim.ttl / 100).min(SOONEST), (claim.ttl / 10).min(LATEST));
    for attempt in 0.. {
        let error = match env.until(env.now() + claim.ttl / 4, store.release(claim)).await {
            Some(Ok(_)) => return,
            Some(Err(error)) => error,
            None => Error::new(ErrorKind::TimedOut, "the store did not answer").unknown(),
        };
        if error.kind() == ErrorKind::Closed {
            return;
        }
        let pause = backoff::delay(attempt, base, max, env.jitter(Duration::from_secs(1)).as_secs_f64());
        let wake_at = env.now() + pause;
        if !error.is_transient() || wake_at >= end {
            tracing::warn!(lock = %claim.name, store = store.url(), %error, "a release failed: the lock ends by its ttl");
            return;
        }
        env.sleep_until(wake_at).await;
    }
}
