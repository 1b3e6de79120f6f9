//! The watchdog: one background task a client. It renews in batches, announces jeopardy and loss, and cleans up.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use super::{
    cleanup, deadline,
    registry::{ManagedLease, Phase, Registry, State},
    telemetry,
};
use crate::{
    Claim, ClaimId, Env, Error, ErrorKind, Lost, Moment, Outcome, Renewal, Result, Store, decide::validity,
};

/// As many claims as go into one call of the store.
const BATCH_MAX: usize = 256;
/// Renewals due within this time of each other go together.
const BATCH_WINDOW: Duration = Duration::from_millis(50);

/// Starts the watchdog of a client. It ends when all handles of the client are gone and its orders are carried out.
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
            let (orders, due, sleep_until, phase) = {
                let mut book = self.registry.book();
                let orders = std::mem::take(&mut book.orders);
                let due = self.due(&mut book);
                (orders, due, book.sleep_until(), book.state)
            };
            for order in orders {
                let (store, env) = (self.store.clone(), self.env.clone());
                self.env.spawn(cleanup::carry_out(order, store, env, self.registry.clone()));
            }
            for batch in due.chunks(BATCH_MAX) {
                self.env.spawn(self.clone().renew(batch.to_vec()));
            }
            if phase == Phase::Finished {
                return;
            }
            let alarm = async {
                match sleep_until {
                    Some(moment) => self.env.sleep_until(moment).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.registry.news() => {}
                () = alarm => {}
                () = self.store.revalidation(&mut revalidations) => self.registry.renew_all(self.env.now()),
            }
        }
    }

    /// Does what is due and answers the claims to renew.
    fn due(&self, book: &mut State) -> Vec<Claim> {
        let now = self.env.now();
        let mut renewals = Vec::new();
        let mut kept = Vec::new();
        while let Some(&(moment, id)) = book.agenda.first() {
            // A renewal may go a little early, to share a call with others.
            if moment > now + BATCH_WINDOW || (moment > now && renewals.is_empty()) {
                break;
            }
            let Some(mut watched) = book.remove(id) else { break };
            if let Some(lost) = self.loss(&watched, now) {
                book.toll.lose(id);
                telemetry::lost(
                    self.store.capability().scheme,
                    self.store.url(),
                    &watched.lease,
                    watched.lease.lose(lost),
                );
                continue;
            }
            let early = now + BATCH_WINDOW.min(watched.claim.ttl / 12);
            if watched.renew_at.is_some_and(|moment| moment <= early) {
                watched.renew_at = None;
                renewals.push(watched.claim.clone());
            }
            if watched.jeopardy_at.is_some_and(|moment| moment <= now) {
                watched.jeopardy_at = None;
                watched.lease.jeopardize();
                telemetry::jeopardy(self.store.url(), &watched.lease);
            }
            watched.plan();
            kept.push(watched);
        }
        kept.into_iter().for_each(|watched| book.insert(watched));
        renewals
    }

    /// Whether the lease is over at `now`. A deadline that came while nothing could run is found here as well.
    fn loss(&self, watched: &ManagedLease, now: Moment) -> Option<Lost> {
        match watched.lease.check() {
            Err(lost) => Some(lost),
            Ok(()) => (watched.signal_at() <= now).then(|| watched.lease.lost_by_time()),
        }
    }

    async fn renew(self, claims: Vec<Claim>) {
        let sent = self.env.now();
        // A hung call is given up, so that there is time for another before the deadline.
        let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
        let answers = self.env.until(sent + shortest / 4, self.store.renew(&claims)).await;
        let mut answers: HashMap<ClaimId, Result<Renewal>> = match answers {
            Some(answers) => claims.iter().map(|claim| claim.id).zip(answers).collect(),
            None => HashMap::new(),
        };
        let mut book = self.registry.book();
        for claim in &claims {
            let silence = || Err(Error::new(ErrorKind::TimedOut, "no answer to a renewal").unknown());
            let answer = answers.remove(&claim.id).unwrap_or_else(silence);
            let Some(watched) = book.remove(claim.id) else { continue };
            let confirms = answer.is_ok();
            match self.renewed(watched, sent, answer) {
                Some(watched) => {
                    book.insert(watched);
                    if confirms {
                        book.toll.confirm();
                    }
                }
                None => book.toll.lose(claim.id),
            }
        }
        drop(book);
        self.registry.poke();
    }

    /// Takes over the answer to a renewal; `None` when the lease is over.
    fn renewed(
        &self,
        mut watched: ManagedLease,
        sent: Moment,
        answer: Result<Renewal>,
    ) -> Option<ManagedLease> {
        let (now, ttl) = (self.env.now(), watched.claim.ttl);
        let lost = match answer {
            Ok(Renewal::Renewed { valid_for }) => {
                telemetry::renewed(self.store.capability().scheme, &watched.lease);
                if watched.lease.confirm(deadline::deadline(&self.env, &*self.store, sent, valid_for)) {
                    watched.renew_at = Some(validity::renew_at(sent, ttl).max(now));
                    watched.jeopardy_at = Some(validity::jeopardy_at(sent, ttl));
                    watched.plan();
                    return Some(watched);
                }
                watched.lease.lost_by_time()
            }
            Ok(Renewal::Gone(reason)) => Lost { reason, certain: true },
            Err(error) => {
                tracing::warn!(lock = %watched.claim.name, store = self.store.url(), %error,
                    may_have_happened = error.outcome() == Outcome::Unknown, "a renewal failed: trying again");
                watched.jeopardy_at = watched.jeopardy_at.map(|_| now);
                watched.renew_at = Some(now + validity::renew_again_after(ttl));
                watched.plan();
                return Some(watched);
            }
        };
        let first = watched.lease.lose(lost);
        telemetry::lost(self.store.capability().scheme, self.store.url(), &watched.lease, first);
        None
    }
}
