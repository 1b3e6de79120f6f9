//! What a client has under way: leases to renew, claims to give up. Shared by the callers and the watchdog.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, MutexGuard},
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{
    handoff::{Order, Request},
    meeting::{Bell, Guarded},
};
use crate::{Claim, ClaimId, Error, ErrorKind, Lease, Lost, LostReason, Moment, Result, decide::validity};

#[derive(Default)]
pub(super) struct Registry {
    book: Guarded<Book>,
    /// Rings when the watchdog has something to do before the moment that it sleeps until.
    news: Bell,
    alive: Tally,
    orders: Tally,
    /// Orders that are carried out at once: a crowd of them does not keep the store from renewing.
    turns: Turns,
}

/// How many releases may be under way.
const RELEASES_MAX: usize = 256;

struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Turns(Semaphore::new(RELEASES_MAX))
    }
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) watched: HashMap<ClaimId, Watched>,
    /// What is to be done when, one entry a watched lease.
    pub(super) agenda: BTreeSet<(Moment, ClaimId)>,
    pub(super) orders: Vec<Order>,
    /// The moment that the watchdog sleeps until. It may lie before the first entry of the agenda, never after:
    /// so a client that locks and unlocks in a loop does not wake its watchdog each time.
    asleep_until: Option<Moment>,
    pub(super) state: Phase,
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
pub(super) struct Watched {
    pub(super) lease: Lease,
    pub(super) claim: Claim,
    /// When to send the next renewal; `None` while one is under way, and for leases that are not renewed.
    pub(super) renew_at: Option<Moment>,
    /// From when on a missing confirmation is jeopardy; `None` once it has been announced.
    pub(super) jeopardy_at: Option<Moment>,
    /// Its entry in the agenda.
    pub(super) due: Moment,
}

impl Watched {
    pub(super) fn new(lease: Lease, claim: Claim, sent: Moment, renew: bool) -> Self {
        let (renew_at, jeopardy_at) =
            (validity::renew_at(sent, claim.ttl), validity::jeopardy_at(sent, claim.ttl));
        let mut watched = Watched {
            lease,
            claim,
            renew_at: renew.then_some(renew_at),
            jeopardy_at: renew.then_some(jeopardy_at),
            due: sent,
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
struct Tally(Arc<watch::Sender<usize>>);

/// One of those that a tally counts, for as long as it lives.
pub(super) struct Counted(Tally);

impl Tally {
    fn count(&self) -> usize {
        *self.0.borrow()
    }

    fn one_more(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    async fn none_left(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

impl Registry {
    /// More than these at once are refused: the queue of orders is bounded by it.
    const CLAIMS_MAX: usize = 1 << 20;

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }

    /// Counts one more claim, for as long as it is asked for, held or given up.
    pub(super) fn enlist(&self) -> Result<Counted> {
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

    pub(super) fn watch(&self, watched: Watched) {
        let mut book = self.book();
        if book.state != Phase::Open {
            drop(book);
            watched.lease.lose(Lost { reason: LostReason::Closed, certain: true });
            return;
        }
        book.insert(watched);
        self.wake_if_earlier(book);
    }

    /// Changes a watched lease, if it is still watched.
    pub(super) fn update(&self, id: ClaimId, change: impl FnOnce(&mut Watched)) {
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

    pub(super) fn unwatch(&self, id: ClaimId) -> Option<Watched> {
        self.book().remove(id)
    }

    /// Hands a claim to the watchdog, to be given up.
    pub(super) fn order(&self, claim: Claim, under_way: Option<Request>, alive: Option<Counted>) {
        let order = Order { claim, under_way, alive, counted: self.orders.one_more() };
        self.book().orders.push(order);
        self.news.ring();
    }

    /// All leases are lost from now on and their claims given up, and no new ones are made.
    pub(super) fn close(&self) {
        let mut book = self.book();
        book.state = book.state.max(Phase::Closed);
        book.agenda.clear();
        let watched: Vec<Watched> = book.watched.drain().map(|(_, watched)| watched).collect();
        drop(book);
        for Watched { lease, claim, .. } in watched {
            lease.lose(Lost { reason: LostReason::Closed, certain: true });
            self.order(claim, None, None);
        }
    }

    pub(super) fn finish(&self) {
        self.book().state = Phase::Finished;
        self.news.ring();
    }

    /// Lets the watchdog look at its agenda again.
    pub(super) fn poke(&self) {
        self.wake_if_earlier(self.book());
    }

    pub(super) async fn news(&self) {
        self.news.rung().await;
    }

    fn wake_if_earlier(&self, book: MutexGuard<'_, Book>) {
        let first = book.agenda.first().map(|(moment, _)| *moment);
        let oversleeps = first.is_some_and(|first| book.asleep_until.is_none_or(|until| first < until));
        drop(book);
        if oversleeps {
            self.news.ring();
        }
    }
}

impl Book {
    /// Until when there is nothing to do; remembered, so that later entries wake the watchdog only when needed.
    pub(super) fn sleep_until(&mut self) -> Option<Moment> {
        self.asleep_until = self.agenda.first().map(|(moment, _)| *moment);
        self.asleep_until
    }

    pub(super) fn insert(&mut self, watched: Watched) {
        self.agenda.insert((watched.due, watched.claim.id));
        self.watched.insert(watched.claim.id, watched);
    }

    pub(super) fn remove(&mut self, id: ClaimId) -> Option<Watched> {
        let watched = self.watched.remove(&id)?;
        self.agenda.remove(&(watched.due, id));
        Some(watched)
    }
}
