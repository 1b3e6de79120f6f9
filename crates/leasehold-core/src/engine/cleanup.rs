//! Release of claims whose owner was dropped: after the end of the request under way.

use std::{sync::Arc, time::Duration};

use super::{pending_release::PendingRelease, registry::Registry};
use crate::{Claim, Env, Error, ErrorKind, Moment, Store, decide::backoff};

/// The longest first pause before a release is repeated.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(50);

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Carries out a pending release, again and again until the store answers or the ttl has ended the claim.
pub(super) async fn carry_out(
    release: PendingRelease,
    store: Arc<dyn Store>,
    env: Env,
    registry: Arc<Registry>,
) {
    let PendingRelease { claim, under_way, alive, counted } = release;
    if let Some(request) = under_way {
        // Stores bound their requests by a timeout; one that hangs for ever is dropped after a ttl. Delivered even later,
        // it would hold for one more ttl.
        let _ = env.until(env.now() + claim.ttl, request).await;
    }
    let permit = registry.release_permit().await;
    release_until(&claim, env.now() + claim.ttl, &store, &env).await;
    drop(permit);
    drop((alive, counted));
}

async fn release_until(claim: &Claim, end: Moment, store: &Arc<dyn Store>, env: &Env) {
    // A lock of ten minutes may have waiters: the pauses are short whatever its ttl.
    let (base, max) = ((claim.ttl / 100).min(FIRST_PAUSE_MAX), (claim.ttl / 10).min(PAUSE_MAX));
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
