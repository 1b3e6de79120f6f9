//! The watchdog: one background task per client, which renews in batches, announces jeopardy and loss, and releases
//! claims without an owner.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use tracing::Instrument;

use super::{
    cleanup,
    core::Core,
    registry::{ManagedLease, Phase, State},
    telemetry,
};
use crate::{Claim, ClaimId, Error, ErrorKind, Lost, Moment, Outcome, Renewal, Result, decide::validity};

/// The largest number of claims in one call of the store.
const BATCH_MAX: usize = 256;
/// Renewals due within this time of each other go together.
const BATCH_WINDOW: Duration = Duration::from_millis(50);

/// The watchdog of a client. It ends when all handles of the client are gone and its pending releases are begun.
pub(super) async fn run(core: Arc<Core>) {
    let mut revalidations = 0;
    loop {
        let (releases, renewals, sleep_until, phase) = core.registry.with(|state| {
            let releases = std::mem::take(&mut state.pending_releases);
            let renewals = core.due(state);
            (releases, renewals, state.sleep_until(), state.phase)
        });
        for release in releases {
            core.env.spawn(cleanup::carry_out(core.clone(), release));
        }
        for batch in renewals.chunks(BATCH_MAX) {
            core.env.spawn(core.clone().renew(batch.to_vec()));
        }
        if phase == Phase::Finished {
            return;
        }
        let timer = async {
            match sleep_until {
                Some(moment) => core.env.sleep_until(moment).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = core.registry.woken() => {}
            () = timer => {}
            () = core.store.revalidation(&mut revalidations) => core.registry.renew_all(core.env.now()),
        }
    }
}

impl Core {
    /// Announces jeopardy and loss that are due, and returns the claims to renew.
    fn due(&self, state: &mut State) -> Vec<Claim> {
        let now = self.env.now();
        let mut renewals = Vec::new();
        for (moment, id) in state.due_until(now + BATCH_WINDOW) {
            // A renewal may go a little early, to share a call with others.
            if moment > now && renewals.is_empty() {
                break;
            }
            state.with_lease(id, |managed| {
                if self.is_lost(managed, now) {
                    return;
                }
                let early = now + BATCH_WINDOW.min(managed.claim.ttl / 12);
                if managed.renew_at.is_some_and(|moment| moment <= early) {
                    managed.renew_at = None;
                    renewals.push((*managed.claim).clone());
                }
                if managed.jeopardy_at.is_some_and(|moment| moment <= now) {
                    managed.jeopardy_at = None;
                    managed.lease.jeopardize();
                    telemetry::jeopardy(self, &managed.lease);
                }
            });
        }
        renewals
    }

    /// Whether the lease is over at `now`, also by a deadline that passed while the process was paused.
    fn is_lost(&self, managed: &mut ManagedLease, now: Moment) -> bool {
        match managed.lease.check() {
            Err(lost) => self.lose(managed, lost),
            Ok(()) if managed.signal_at() <= now => self.lose(managed, managed.lease.lost_by_time()),
            Ok(()) => {}
        }
        managed.is_over
    }

    fn lose(&self, managed: &mut ManagedLease, lost: Lost) {
        managed.is_over = true;
        telemetry::lost(self, &managed.lease, managed.lease.lose(lost));
    }

    async fn renew(self: Arc<Self>, claims: Vec<Claim>) {
        let sent = self.env.now();
        // A call that hangs is given up, so that there is time for another before the deadline.
        let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
        let renewal = self.store.renew(&claims).instrument(telemetry::renewing(&self, claims.len()));
        let answers = self.env.until(sent + shortest / 4, renewal).await;
        telemetry::renewal(&self, self.env.now().since(sent));
        let ids = claims.iter().map(|claim| claim.id);
        let mut answers: HashMap<ClaimId, Result<Renewal>> = ids.zip(answers.unwrap_or_default()).collect();
        self.registry.with(|state| {
            for claim in &claims {
                let silence = || Err(Error::new(ErrorKind::TimedOut, "no answer to a renewal").unknown());
                let answer = answers.remove(&claim.id).unwrap_or_else(silence);
                if state.with_lease(claim.id, |managed| self.renewed(managed, sent, answer)) == Some(true) {
                    state.totals.confirm();
                }
            }
        });
    }

    /// Applies the answer to a renewal; whether it confirmed the hold.
    fn renewed(&self, managed: &mut ManagedLease, sent: Moment, answer: Result<Renewal>) -> bool {
        let (now, ttl) = (self.env.now(), managed.claim.ttl);
        match answer {
            Ok(Renewal::Renewed { valid_for }) => {
                telemetry::renewed(self, &managed.lease);
                if managed.lease.confirm(self.deadline(sent, valid_for)) {
                    managed.renew_at = Some(validity::renew_at(sent, ttl).max(now));
                    managed.jeopardy_at = Some(validity::jeopardy_at(sent, ttl));
                } else {
                    self.lose(managed, managed.lease.lost_by_time());
                }
            }
            Ok(Renewal::Gone(reason)) => self.lose(managed, Lost { reason, certain: true }),
            Err(error) => {
                tracing::warn!(lock = %managed.claim.name, store = self.store.url(), %error,
                    may_have_happened = error.outcome() == Outcome::Unknown, "a renewal failed: it is repeated");
                managed.jeopardy_at = managed.jeopardy_at.map(|_| now);
                managed.renew_at = Some(now + validity::renew_again_after(ttl));
                return false;
            }
        }
        !managed.is_over
    }
}
