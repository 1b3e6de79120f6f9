//! Release of claims whose owner was dropped: after the end of the request under way.

use std::{sync::Arc, time::Duration};

use super::{core::Core, registry::PendingRelease};
use crate::{Claim, ErrorKind, Moment, decide::backoff};

/// The longest first pause before a release is repeated.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Carries out a pending release, again and again until the store answers or the ttl has ended the claim.
pub(super) async fn carry_out(core: Arc<Core>, release: PendingRelease) {
    let PendingRelease { claim, under_way, alive: _alive, counted: _counted } = release;
    if let Some(request) = under_way {
        // Stores bound their requests by a timeout; one that hangs for ever is dropped after a ttl. Delivered even later,
        // it would hold for one more ttl.
        let _ = core.env.until(core.env.now() + claim.ttl, request).await;
    }
    let _permit = core.releases.acquire().await;
    release_until(&core, &claim, core.env.now() + claim.ttl).await;
}

async fn release_until(core: &Core, claim: &Claim, end: Moment) {
    let env = &core.env;
    // A lock of ten minutes may have waiters: the pauses are short whatever its ttl.
    let (base, max) = ((claim.ttl / 100).min(FIRST_PAUSE_MAX), (claim.ttl / 10).min(PAUSE_MAX));
    for attempt in 0.. {
        let Err(error) = core.release(claim, claim.ttl / 4).await else { return };
        if error.kind() == ErrorKind::Closed {
            return;
        }
        let wake_at = env.now() + backoff::delay(attempt, base, max, env.fraction());
        if !error.is_transient() || wake_at >= end {
            tracing::warn!(lock = %claim.name, store = core.store.url(), %error, "a release failed: the lock ends by its ttl");
            return;
        }
        env.sleep_until(wake_at).await;
    }
}
