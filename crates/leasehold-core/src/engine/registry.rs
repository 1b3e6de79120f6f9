//! What a client has under way: leases to renew, claims to give up. Shared by the callers and the watchdog.

use std::{
    collections::{BTreeSet, HashMap},
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard},
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{
    cleanup::{PendingRelease, Request},
    health::{HealthSnapshot, LeaseTotals},
};
use crate::{
    Claim, ClaimId, Error, ErrorKind, Lease, Lost, LostReason, Moment, Result, Status,
    decide::validity,
    store_kit::{Locked, Notifier},
};

#[derive(Default)]
pub(super) struct Registry {
    book: Locked<State>,
    /// Rings when the watchdog has something to do before the moment that it sleeps until.
    news: Notifier,
    /// How the client stands, for those who watch it.
    session: watch::Sender<HealthSnapshot>,
    alive: Counter,
    orders: Counter,
    /// Orders that are carried out at once: a crowd of them does not keep the store from renewing.
    turns: ReleaseLimit,
}

/// How many releases may be under way.
const RELEASES_MAX: usize = 256;

struct ReleaseLimit(Semaphore);

impl Default for ReleaseLimit {
    fn default() -> Self {
        ReleaseLimit(Semaphore::new(RELEASES_MAX))
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) watched: HashMap<ClaimId, ManagedLease>,
    /// What is to be done when, one entry a watched lease.
    pub(super) agenda: BTreeSet<(Moment, ClaimId)>,
    pub(super) orders: Vec<PendingRelease>,
    /// The moment that the watchdog sleeps until. It may lie before the first entry of the agenda, never after:
    /// so a client that locks and unlocks in a loop does not wake its watchdog each time.
    asleep_until: Option<Moment>,
    pub(super) state: Phase,
    /// What has been lost, and what is about to be.
    pub(super) toll: LeaseTotals,
}

/// The book while it is open. Closing it tells those who watch the session what has become of it.
pub(super) struct Open<'r> {
    book: MutexGuard<'r, State>,
    session: &'r watch::Sender<HealthSnapshot>,
}

impl Deref for Open<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.book
    }
}

impl DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.book
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.seen();
        self.session.send_if_modified(|seen| std::mem::replace(seen, now) != now);
    }
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    #[default]
    Open,
    /// No new claims.
    Closed,
    /// All handles are gone: the watchdog ends when its orders are done.
    Finished,
}

/// A lease under the watchdog's eyes.
pub(super) struct ManagedLease {
    pub(super) lease: Lease,
    pub(super) claim: Claim,
    /// When to send the next renewal; `None` while one is under way, and for leases that are not renewed.
    pub(super) renew_at: Option<Moment>,
    /// From when on a missing confirmation is jeopardy; `None` once it has been announced.
    pub(super) jeopardy_at: Option<Moment>,
    /// Its entry in the agenda.
    pub(super) due: Moment,
    /// Whether it is counted as being in jeopardy.
    is_counted: bool,
}

impl ManagedLease {
    pub(super) fn new(lease: Lease, claim: Claim, sent: Moment, renew: bool) -> Self {
        let (renew_at, jeopardy_at) =
            (validity::renew_at(sent, claim.ttl), validity::jeopardy_at(sent, claim.ttl));
        let mut watched = ManagedLease {
            lease,
            claim,
            renew_at: renew.then_some(renew_at),
            jeopardy_at: renew.then_some(jeopardy_at),
            due: sent,
            is_counted: false,
        };
        watched.plan();
        watched
    }

    /// When the loss is to be signalled.
    pub(super) fn signal_at(&self) -> Moment {
        self.lease.deadline() - validity::signal_lead(self.claim.ttl)
    }

    /// Computes when something is to be done next.
    pub(super) fn plan(&mut self) {
        let times = [self.renew_at, self.jeopardy_at, Some(self.signal_at())];
        self.due = times.into_iter().flatten().min().unwrap_or(self.due);
    }
}

/// How many of something there are.
#[derive(Default, Clone)]
struct Counter(Arc<watch::Sender<usize>>);

/// One of those that a tally counts, for as long as it lives.
pub(super) struct CountGuard(Counter);

impl Counter {
    fn count(&self) -> usize {
        *self.0.borrow()
    }

    fn one_more(&self) -> CountGuard {
        self.0.send_modify(|count| *count += 1);
        CountGuard(self.clone())
    }

    async fn none_left(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

impl Registry {
    /// More than these at once are refused: the queue of orders is bounded by it.
    const CLAIMS_MAX: usize = 1 << 20;

    pub(super) fn book(&self) -> Open<'_> {
        Open { book: self.book.lock(), session: &self.session }
    }

    /// Those who watch the session are told here that it may stand differently.
    pub(super) fn session(&self) -> watch::Receiver<HealthSnapshot> {
        self.session.subscribe()
    }

    /// How the client stands at `now`, also when the watchdog has not run since.
    pub(super) fn seen(&self, now: Moment) -> HealthSnapshot {
        let mut book = self.book();
        book.catch_up(now);
        book.seen()
    }

    /// Counts one more claim, for as long as it is asked for, held or given up.
    pub(super) fn enlist(&self) -> Result<CountGuard> {
        if self.book().state != Phase::Open {
            return Err(Error::new(ErrorKind::Closed, "the client is closed"));
        }
        if self.alive.count() >= Self::CLAIMS_MAX {
            let message = format!("one client has at most {} claims at once", Self::CLAIMS_MAX);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        Ok(self.alive.one_more())
    }

    pub(super) fn claims_alive(&self) -> usize {
        self.alive.count()
    }

    /// The right to release something; the semaphore is never closed.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.0.acquire().await.ok()
    }

    /// Completes when no order is under way.
    pub(super) async fn flushed(&self) {
        self.orders.none_left().await;
    }

    pub(super) fn watch(&self, watched: ManagedLease) {
        let mut book = self.book();
        if book.state != Phase::Open {
            drop(book);
            watched.lease.lose(Lost { reason: LostReason::Closed, certain: true });
            return;
        }
        book.insert(watched);
        book.toll.confirm();
        self.wake_if_earlier(book);
    }

    /// Changes a watched lease, if it is still watched.
    pub(super) fn update(&self, id: ClaimId, change: impl FnOnce(&mut ManagedLease)) {
        let mut book = self.book();
        if let Some(mut watched) = book.remove(id) {
            change(&mut watched);
            watched.plan();
            book.insert(watched);
        }
        self.wake_if_earlier(book);
    }

    /// Makes the renewal of every lease due at `now`, but of those whose renewal is under way or that are not renewed.
    pub(super) fn renew_all(&self, now: Moment) {
        let mut book = self.book();
        let waiting: Vec<ClaimId> = book
            .watched
            .iter()
            .filter(|(_, watched)| watched.renew_at.is_some_and(|renew_at| renew_at > now))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            if let Some(mut watched) = book.remove(id) {
                watched.renew_at = Some(now);
                watched.plan();
                book.insert(watched);
            }
        }
    }

    /// A hold is given up, lost or not.
    pub(super) fn unwatch(&self, id: ClaimId) {
        let mut book = self.book();
        book.remove(id);
        book.toll.forget(id);
    }

    /// A hold is lost; whoever has its guard has not given it up yet.
    pub(super) fn lose(&self, id: ClaimId) {
        let mut book = self.book();
        book.remove(id);
        book.toll.lose(id);
    }

    /// The store has confirmed a hold.
    pub(super) fn confirm(&self) {
        self.book().toll.confirm();
    }

    /// Hands a claim to the watchdog, to be given up.
    pub(super) fn order(&self, claim: Claim, under_way: Option<Request>, alive: Option<CountGuard>) {
        let order = PendingRelease { claim, under_way, alive, counted: self.orders.one_more() };
        self.book().orders.push(order);
        self.news.wake();
    }

    /// All leases are lost from now on and their claims given up, and no new ones are made.
    pub(super) fn close(&self) {
        let mut book = self.book();
        book.state = book.state.max(Phase::Closed);
        book.agenda.clear();
        let mut watched: Vec<ManagedLease> = book.watched.drain().map(|(_, watched)| watched).collect();
        watched.iter().for_each(|watched| book.toll.lose(watched.claim.id));
        drop(book);
        // One seed is one run: in an order that the map's own dice have no part in.
        watched.sort_unstable_by_key(|watched| watched.claim.id);
        for ManagedLease { lease, claim, .. } in watched {
            lease.lose(Lost { reason: LostReason::Closed, certain: true });
            self.order(claim, None, None);
        }
    }

    pub(super) fn finish(&self) {
        self.book().state = Phase::Finished;
        self.news.wake();
    }

    /// Lets the watchdog look at its agenda again.
    pub(super) fn poke(&self) {
        self.wake_if_earlier(self.book());
    }

    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    fn wake_if_earlier(&self, book: Open<'_>) {
        let first = book.agenda.first().map(|(moment, _)| *moment);
        let oversleeps = first.is_some_and(|first| book.asleep_until.is_none_or(|until| first < until));
        drop(book);
        if oversleeps {
            self.news.wake();
        }
    }
}

impl State {
    /// Until when there is nothing to do; remembered, so that later entries wake the watchdog only when needed.
    pub(super) fn sleep_until(&mut self) -> Option<Moment> {
        self.asleep_until = self.agenda.first().map(|(moment, _)| *moment);
        self.asleep_until
    }

    /// How the client stands.
    fn seen(&self) -> HealthSnapshot {
        self.toll.seen(self.state == Phase::Open)
    }

    /// Takes into account what time has done while nobody looked. What is to be done about it stays on the agenda.
    fn catch_up(&mut self, now: Moment) {
        let overdue = self.agenda.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id);
        for id in overdue.collect::<Vec<ClaimId>>() {
            let Some(watched) = self.remove(id) else { continue };
            if watched.lease.check().is_err() {
                self.toll.lose(id);
            } else if watched.jeopardy_at.is_some_and(|moment| moment <= now) {
                watched.lease.jeopardize();
            }
            self.insert(watched);
        }
    }

    pub(super) fn insert(&mut self, mut watched: ManagedLease) {
        watched.is_counted = watched.lease.last_status() == Status::Jeopardy;
        self.toll.in_jeopardy += usize::from(watched.is_counted);
        self.agenda.insert((watched.due, watched.claim.id));
        self.watched.insert(watched.claim.id, watched);
    }

    pub(super) fn remove(&mut self, id: ClaimId) -> Option<ManagedLease> {
        let watched = self.watched.remove(&id)?;
        self.agenda.remove(&(watched.due, id));
        self.toll.in_jeopardy -= usize::from(watched.is_counted);
        Some(watched)
    }
}
