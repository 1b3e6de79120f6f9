//! [`Registry`]: the leases and the pending releases of a client, shared by its callers and its watchdog.

use std::{
    collections::{BTreeSet, HashMap},
    ops::{Deref, DerefMut},
    sync::MutexGuard,
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{
    counter::{CountGuard, Counter},
    health::{HealthSnapshot, LeaseTotals},
    pending_release::{PendingRelease, Request},
};
use crate::{
    Claim, ClaimId, Error, ErrorKind, Lease, Lost, LostReason, Moment, Result, Status,
    decide::validity,
    store_kit::{ClientState, Locked, Notifier},
};

#[derive(Default)]
pub(super) struct Registry {
    state: Locked<State>,
    /// Wakes the watchdog when a timer is earlier than the moment that it sleeps until.
    wake: Notifier,
    health: watch::Sender<HealthSnapshot>,
    alive: Counter,
    pending: Counter,
    release_limit: ReleaseLimit,
}

/// How many releases may be under way at once, so that renewals find room at the store.
const RELEASES_MAX: usize = 256;

struct ReleaseLimit(Semaphore);

impl Default for ReleaseLimit {
    fn default() -> Self {
        ReleaseLimit(Semaphore::new(RELEASES_MAX))
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) leases: HashMap<ClaimId, ManagedLease>,
    /// When a lease is due, one entry each.
    pub(super) timers: BTreeSet<(Moment, ClaimId)>,
    pub(super) pending_releases: Vec<PendingRelease>,
    /// The moment that the watchdog sleeps until. It may be before the first timer, never after: so a client that locks
    /// and unlocks in a loop does not wake its watchdog each time.
    asleep_until: Option<Moment>,
    pub(super) phase: Phase,
    pub(super) totals: LeaseTotals,
}

/// The locked state. Dropping it publishes the health of the client.
pub(super) struct StateGuard<'r> {
    state: MutexGuard<'r, State>,
    health: &'r watch::Sender<HealthSnapshot>,
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        let now = self.health();
        self.health.send_if_modified(|before| std::mem::replace(before, now) != now);
    }
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    #[default]
    Open,
    /// No new claims.
    Closed,
    /// All handles are dropped: the watchdog ends after the pending releases.
    Finished,
}

/// A lease that the watchdog renews and ends.
pub(super) struct ManagedLease {
    pub(super) lease: Lease,
    pub(super) claim: Claim,
    /// When to send the next renewal; `None` while one is under way, and for leases that are not renewed.
    pub(super) renew_at: Option<Moment>,
    /// From when on a missing confirmation is jeopardy; `None` once it has been announced.
    pub(super) jeopardy_at: Option<Moment>,
    /// The moment of its timer.
    due: Moment,
    /// Whether the totals count it as being in jeopardy.
    is_counted: bool,
}

impl ManagedLease {
    pub(super) fn new(lease: Lease, claim: Claim, sent: Moment, renew: bool) -> Self {
        let (renew_at, jeopardy_at) =
            (validity::renew_at(sent, claim.ttl), validity::jeopardy_at(sent, claim.ttl));
        let mut managed = ManagedLease {
            lease,
            claim,
            renew_at: renew.then_some(renew_at),
            jeopardy_at: renew.then_some(jeopardy_at),
            due: sent,
            is_counted: false,
        };
        managed.reschedule();
        managed
    }

    /// When the loss is to be signalled.
    pub(super) fn signal_at(&self) -> Moment {
        self.lease.deadline() - validity::signal_lead(self.claim.ttl)
    }

    /// Computes the moment of the next timer.
    fn reschedule(&mut self) {
        let times = [self.renew_at, self.jeopardy_at, Some(self.signal_at())];
        self.due = times.into_iter().flatten().min().unwrap_or(self.due);
    }
}

impl Registry {
    /// The bound of claims of one client, and so of its pending releases.
    const CLAIMS_MAX: usize = 1 << 20;

    pub(super) fn state(&self) -> StateGuard<'_> {
        StateGuard { state: self.state.lock(), health: &self.health }
    }

    /// Notifies of changes of the health.
    pub(super) fn watch_health(&self) -> watch::Receiver<HealthSnapshot> {
        self.health.subscribe()
    }

    /// The health of the client at `now`, also when the watchdog has not run since.
    pub(super) fn health_at(&self, now: Moment) -> HealthSnapshot {
        let mut state = self.state();
        state.catch_up(now);
        state.health()
    }

    /// Counts one more claim until its guard is dropped.
    pub(super) fn count_claim(&self) -> Result<CountGuard> {
        if self.state().phase != Phase::Open {
            return Err(ClientState::closed_error());
        }
        if self.alive.count() >= Self::CLAIMS_MAX {
            let message = format!("one client has at most {} claims at once", Self::CLAIMS_MAX);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        Ok(self.alive.increment())
    }

    pub(super) fn claims_alive(&self) -> usize {
        self.alive.count()
    }

    /// The permission to release something; the semaphore is never closed.
    pub(super) async fn release_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.release_limit.0.acquire().await.ok()
    }

    /// Completes when no release is pending or under way.
    pub(super) async fn flushed(&self) {
        self.pending.zero().await;
    }

    /// Adds a lease that the store has just granted.
    pub(super) fn manage(&self, managed: ManagedLease) {
        let mut state = self.state();
        if state.phase != Phase::Open {
            drop(state);
            managed.lease.lose(Lost { reason: LostReason::Closed, certain: true });
            return;
        }
        state.insert(managed);
        state.totals.confirm();
        self.wake_if_earlier(state);
    }

    /// Changes a lease, if it is still managed.
    pub(super) fn update(&self, id: ClaimId, change: impl FnOnce(&mut ManagedLease)) {
        let mut state = self.state();
        state.with_lease(id, |managed| {
            change(managed);
            Ok(())
        });
        self.wake_if_earlier(state);
    }

    /// Makes every renewal due at `now`, except for leases that are not renewed or whose renewal is under way.
    pub(super) fn renew_all(&self, now: Moment) {
        let mut state = self.state();
        for id in state.leases.keys().copied().collect::<Vec<_>>() {
            state.with_lease(id, |managed| {
                managed.renew_at = managed.renew_at.map(|renew_at| renew_at.min(now));
                Ok(())
            });
        }
    }

    /// Removes a hold that is released, lost or not.
    pub(super) fn remove(&self, id: ClaimId) {
        let mut state = self.state();
        state.remove(id);
        state.totals.forget(id);
    }

    /// Removes a lost hold whose guard still exists.
    pub(super) fn lose(&self, id: ClaimId) {
        let mut state = self.state();
        state.remove(id);
        state.totals.lose(id);
    }

    /// Records that the store has confirmed a hold.
    pub(super) fn confirm(&self) {
        self.state().totals.confirm();
    }

    /// Hands a claim to the watchdog, to be released.
    pub(super) fn release_later(&self, claim: Claim, under_way: Option<Request>, alive: Option<CountGuard>) {
        let release = PendingRelease { claim, under_way, alive, counted: self.pending.increment() };
        self.state().pending_releases.push(release);
        self.wake.wake();
    }

    /// Ends the client: all leases are lost and their claims released, and no new ones are made.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.phase = state.phase.max(Phase::Closed);
        state.timers.clear();
        let mut leases: Vec<ManagedLease> = state.leases.drain().map(|(_, managed)| managed).collect();
        leases.iter().for_each(|managed| state.totals.lose(managed.claim.id));
        drop(state);
        // One seed is one run: not in the random order of the map.
        leases.sort_unstable_by_key(|managed| managed.claim.id);
        for ManagedLease { lease, claim, .. } in leases {
            lease.lose(Lost { reason: LostReason::Closed, certain: true });
            self.release_later(claim, None, None);
        }
    }

    pub(super) fn finish(&self) {
        self.state().phase = Phase::Finished;
        self.wake.wake();
    }

    /// Wakes the watchdog if its timers have changed.
    pub(super) fn wake(&self) {
        self.wake_if_earlier(self.state());
    }

    /// Completes when the watchdog has something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn wake_if_earlier(&self, state: StateGuard<'_>) {
        let first = state.timers.first().map(|(moment, _)| *moment);
        let oversleeps = first.is_some_and(|first| state.asleep_until.is_none_or(|until| first < until));
        drop(state);
        if oversleeps {
            self.wake.wake();
        }
    }
}

impl State {
    /// The first timer; remembered, so that later timers do not wake the watchdog.
    pub(super) fn sleep_until(&mut self) -> Option<Moment> {
        self.asleep_until = self.timers.first().map(|(moment, _)| *moment);
        self.asleep_until
    }

    fn health(&self) -> HealthSnapshot {
        self.totals.snapshot(self.phase == Phase::Open)
    }

    /// The leases with a timer until `moment`, the earliest first.
    pub(super) fn due_until(&self, moment: Moment) -> Vec<(Moment, ClaimId)> {
        self.timers.iter().take_while(|(due, _)| *due <= moment).copied().collect()
    }

    /// Updates the totals to `now`. The timers stay: the watchdog announces the changes.
    fn catch_up(&mut self, now: Moment) {
        for (_, id) in self.due_until(now) {
            let mut is_over = false;
            self.with_lease(id, |managed| {
                is_over = managed.lease.check().is_err();
                if !is_over && managed.jeopardy_at.is_some_and(|moment| moment <= now) {
                    managed.lease.jeopardize();
                }
                Ok(())
            });
            if is_over {
                self.totals.lose(id);
            }
        }
    }

    /// Changes and reschedules a lease, if it is managed. A lease that the change finds lost is removed and counted.
    pub(super) fn with_lease(
        &mut self,
        id: ClaimId,
        change: impl FnOnce(&mut ManagedLease) -> Result<(), Lost>,
    ) {
        let Some(mut managed) = self.remove(id) else { return };
        match change(&mut managed) {
            Ok(()) => {
                managed.reschedule();
                self.insert(managed);
            }
            Err(_) => self.totals.lose(id),
        }
    }

    fn insert(&mut self, mut managed: ManagedLease) {
        managed.is_counted = managed.lease.last_status() == Status::Jeopardy;
        self.totals.in_jeopardy += usize::from(managed.is_counted);
        self.timers.insert((managed.due, managed.claim.id));
        self.leases.insert(managed.claim.id, managed);
    }

    fn remove(&mut self, id: ClaimId) -> Option<ManagedLease> {
        let managed = self.leases.remove(&id)?;
        self.timers.remove(&(managed.due, id));
        self.totals.in_jeopardy -= usize::from(managed.is_counted);
        Some(managed)
    }
}
