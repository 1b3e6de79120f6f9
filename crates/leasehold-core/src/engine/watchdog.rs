//! The watchdog: one background task per client, which renews in batches, announces jeopardy and loss, and releases
//! claims without an owner.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use super::{
    cleanup, deadline,
    registry::{ManagedLease, Phase, Registry, State},
    telemetry,
};
use crate::{
    Claim, ClaimId, Env, Error, ErrorKind, Lost, Moment, Outcome, Renewal, Result, Store, decide::validity,
};

/// The largest number of claims in one call of the store.
const BATCH_MAX: usize = 256;
/// Renewals due within this time of each other go together.
const BATCH_WINDOW: Duration = Duration::from_millis(50);

/// Starts the watchdog of a client. It ends when all handles of the client are gone and its pending releases are done.
pub(super) fn start(store: Arc<dyn Store>, env: Env, registry: Arc<Registry>) {
    let watchdog = Watchdog { store, env: env.clone(), registry };
    env.spawn(watchdog.run());
}

#[derive(Clone)]
struct Watchdog {
    store: Arc<dyn Store>,
    env: Env,
    registry: Arc<Registry>,
}

impl Watchdog {
    async fn run(self) {
        let mut revalidations = 0;
        loop {
            let (releases, renewals, sleep_until, phase) = {
                let mut state = self.registry.state();
                let releases = std::mem::take(&mut state.pending_releases);
                let renewals = self.due(&mut state);
                (releases, renewals, state.sleep_until(), state.phase)
            };
            for release in releases {
                let (store, env) = (self.store.clone(), self.env.clone());
                self.env.spawn(cleanup::carry_out(release, store, env, self.registry.clone()));
            }
            for batch in renewals.chunks(BATCH_MAX) {
                self.env.spawn(self.clone().renew(batch.to_vec()));
            }
            if phase == Phase::Finished {
                return;
            }
            let timer = async {
                match sleep_until {
                    Some(moment) => self.env.sleep_until(moment).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.registry.woken() => {}
                () = timer => {}
                () = self.store.revalidation(&mut revalidations) => self.registry.renew_all(self.env.now()),
            }
        }
    }

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
                self.check(managed, now)?;
                let early = now + BATCH_WINDOW.min(managed.claim.ttl / 12);
                if managed.renew_at.is_some_and(|moment| moment <= early) {
                    managed.renew_at = None;
                    renewals.push(managed.claim.clone());
                }
                if managed.jeopardy_at.is_some_and(|moment| moment <= now) {
                    managed.jeopardy_at = None;
                    managed.lease.jeopardize();
                    telemetry::jeopardy(self.store.url(), &managed.lease);
                }
                Ok(())
            });
        }
        renewals
    }

    /// Fails when the lease is over at `now`, also by a deadline that passed while the process was paused.
    fn check(&self, managed: &ManagedLease, now: Moment) -> Result<(), Lost> {
        match managed.lease.check() {
            Err(lost) => Err(self.lose(managed, lost)),
            Ok(()) if managed.signal_at() <= now => Err(self.lose(managed, managed.lease.lost_by_time())),
            Ok(()) => Ok(()),
        }
    }

    fn lose(&self, managed: &ManagedLease, lost: Lost) -> Lost {
        let first = managed.lease.lose(lost);
        telemetry::lost(self.store.capability().scheme, self.store.url(), &managed.lease, first);
        first
    }

    async fn renew(self, claims: Vec<Claim>) {
        let sent = self.env.now();
        // A call that hangs is given up, so that there is time for another before the deadline.
        let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
        let answers = self.env.until(sent + shortest / 4, self.store.renew(&claims)).await;
        let mut answers: HashMap<ClaimId, Result<Renewal>> = match answers {
            Some(answers) => claims.iter().map(|claim| claim.id).zip(answers).collect(),
            None => HashMap::new(),
        };
        let mut state = self.registry.state();
        for claim in &claims {
            let silence = || Err(Error::new(ErrorKind::TimedOut, "no answer to a renewal").unknown());
            let answer = answers.remove(&claim.id).unwrap_or_else(silence);
            let mut is_confirmed = false;
            state.with_lease(claim.id, |managed| {
                is_confirmed = self.renewed(managed, sent, answer)?;
                Ok(())
            });
            if is_confirmed {
                state.totals.confirm();
            }
        }
        drop(state);
        self.registry.wake();
    }

    /// Applies the answer to a renewal; whether it confirmed the hold.
    fn renewed(
        &self,
        managed: &mut ManagedLease,
        sent: Moment,
        answer: Result<Renewal>,
    ) -> Result<bool, Lost> {
        let (now, ttl) = (self.env.now(), managed.claim.ttl);
        match answer {
            Ok(Renewal::Renewed { valid_for }) => {
                telemetry::renewed(self.store.capability().scheme, &managed.lease);
                if !managed.lease.confirm(deadline::deadline(&*self.store, sent, valid_for)) {
                    return Err(self.lose(managed, managed.lease.lost_by_time()));
                }
                managed.renew_at = Some(validity::renew_at(sent, ttl).max(now));
                managed.jeopardy_at = Some(validity::jeopardy_at(sent, ttl));
                Ok(true)
            }
            Ok(Renewal::Gone(reason)) => Err(self.lose(managed, Lost { reason, certain: true })),
            Err(error) => {
                tracing::warn!(lock = %managed.claim.name, store = self.store.url(), %error,
                    may_have_happened = error.outcome() == Outcome::Unknown, "a renewal failed: it is repeated");
                managed.jeopardy_at = managed.jeopardy_at.map(|_| now);
                managed.renew_at = Some(now + validity::renew_again_after(ttl));
                Ok(false)
            }
        }
    }
}
