//! [`Registry`]: the leases and the pending releases of a client, shared by its callers and its watchdog.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use tokio::sync::watch;

use super::health::{HealthSnapshot, LeaseTotals};
use crate::{
    BoxFuture, Claim, ClaimId, Error, ErrorKind, Lease, Lost, LostReason, Moment, Result, Standing, Status,
    claim::ClaimIdHasher,
    decide::validity,
    store_kit::{ClientState, Locked, Notifier},
};

#[derive(Default)]
pub(super) struct Registry {
    state: Locked<State>,
    wake: Notifier,
    health: watch::Sender<HealthSnapshot>,
    /// Has another owner for each claim.
    alive: AliveGuard,
    /// Has a receiver for each release that is pending or under way.
    pending: watch::Sender<()>,
}

/// Counts until it is dropped.
pub(super) type AliveGuard = Arc<()>;
/// Counts until it is dropped, and notifies then.
pub(super) type PendingGuard = watch::Receiver<()>;

#[derive(Default)]
pub(super) struct State {
    pub(super) leases: HashMap<ClaimId, ManagedLease, BuildHasherDefault<ClaimIdHasher>>,
    /// When a lease is due, one entry each.
    pub(super) timers: BTreeSet<(Moment, ClaimId)>,
    pub(super) pending_releases: Vec<PendingRelease>,
    /// The moment that the watchdog sleeps until. It may be before the first timer, never after: so a client that locks
    /// and unlocks in a loop does not wake its watchdog each time.
    asleep_until: Option<Moment>,
    pub(super) phase: Phase,
    pub(super) totals: LeaseTotals,
    /// The health that was sent last.
    published: HealthSnapshot,
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
    pub(super) claim: Arc<Claim>,
    /// When to send the next renewal; `None` while one is under way, and for leases that are not renewed.
    pub(super) renew_at: Option<Moment>,
    /// From when on a missing confirmation is jeopardy; `None` once it has been announced.
    pub(super) jeopardy_at: Option<Moment>,
    /// Whether the watchdog has announced its loss.
    pub(super) is_over: bool,
    /// The moment of its timer.
    due: Moment,
    /// Whether the totals count it as being in jeopardy.
    is_counted: bool,
}

/// A claim on its way to the store.
pub(super) type Request = BoxFuture<'static, Result<Standing>>;

/// A claim without an owner, to be released by the watchdog.
pub(super) struct PendingRelease {
    pub(super) claim: Arc<Claim>,
    /// The request that was under way when its owner was dropped. It is polled to its end first: a release that
    /// overtakes it would leave a hold without an owner.
    pub(super) under_way: Option<Request>,
    pub(super) alive: Option<AliveGuard>,
    pub(super) counted: PendingGuard,
}

impl ManagedLease {
    pub(super) fn new(lease: Lease, claim: Arc<Claim>, sent: Moment, renew: bool) -> Self {
        ManagedLease {
            renew_at: renew.then(|| validity::renew_at(sent, claim.ttl)),
            jeopardy_at: renew.then(|| validity::jeopardy_at(sent, claim.ttl)),
            is_over: false,
            due: sent,
            is_counted: false,
            lease,
            claim,
        }
    }

    /// When the loss is to be signalled.
    pub(super) fn signal_at(&self) -> Moment {
        self.lease.deadline() - validity::signal_lead(self.claim.ttl)
    }
}

impl Registry {
    /// The bound of claims of one client, and so of its pending releases.
    const CLAIMS_MAX: usize = 1 << 20;

    /// Reads or changes the state, publishes the health of the client, and wakes the watchdog if it has to do something
    /// before the moment that it sleeps until.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let answer = change(&mut state);
        let health = state.health();
        if std::mem::replace(&mut state.published, health) != health {
            self.health.send_replace(health);
        }
        let is_work = state.is_work();
        drop(state);
        if is_work {
            self.wake.wake();
        }
        answer
    }

    /// Notifies of changes of the health.
    pub(super) fn watch_health(&self) -> watch::Receiver<HealthSnapshot> {
        self.health.subscribe()
    }

    /// The health of the client at `now`, also when the watchdog has not run since.
    pub(super) fn health_at(&self, now: Moment) -> HealthSnapshot {
        self.with(|state| {
            state.catch_up(now);
            state.health()
        })
    }

    /// Counts one more claim until its guard is dropped.
    pub(super) fn count_claim(&self) -> Result<AliveGuard> {
        if self.state.lock().phase != Phase::Open {
            return Err(ClientState::closed_error());
        }
        if self.claims_alive() >= Self::CLAIMS_MAX {
            let message = format!("one client has at most {} claims at once", Self::CLAIMS_MAX);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        Ok(self.alive.clone())
    }

    pub(super) fn claims_alive(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// Completes when no release is pending or under way.
    pub(super) async fn flushed(&self) {
        self.pending.closed().await;
    }

    /// Adds a lease that the store has just granted.
    pub(super) fn manage(&self, managed: ManagedLease) {
        let lease = managed.lease.clone();
        let is_open = self.with(|state| {
            let is_open = state.phase == Phase::Open;
            if is_open {
                state.insert(managed);
                state.totals.confirm();
            }
            is_open
        });
        if !is_open {
            lease.lose(Lost { reason: LostReason::Closed, certain: true });
        }
    }

    /// Makes every renewal due at `now`, except for leases that are not renewed or whose renewal is under way.
    pub(super) fn renew_all(&self, now: Moment) {
        self.with(|state| {
            for id in state.leases.keys().copied().collect::<Vec<_>>() {
                state.with_lease(id, |managed| managed.renew_at = managed.renew_at.map(|at| at.min(now)));
            }
        });
    }

    /// Removes a hold that is released, lost or not.
    pub(super) fn remove(&self, id: ClaimId) {
        self.with(|state| {
            state.remove(id);
            state.totals.forget(id);
        });
    }

    /// Hands a claim to the watchdog, to be released.
    pub(super) fn release_later(
        &self,
        claim: Arc<Claim>,
        under_way: Option<Request>,
        alive: Option<AliveGuard>,
    ) {
        let release = PendingRelease { claim, under_way, alive, counted: self.pending.subscribe() };
        self.with(|state| state.pending_releases.push(release));
    }

    /// Ends the client: all leases are lost and their claims released, and no new ones are made.
    pub(super) fn close(&self) {
        let mut leases: Vec<ManagedLease> = self.with(|state| {
            state.phase = state.phase.max(Phase::Closed);
            state.timers.clear();
            state.leases.keys().for_each(|id| state.totals.lose(*id));
            state.leases.drain().map(|(_, managed)| managed).collect()
        });
        // One seed is one run: not in the random order of the map.
        leases.sort_unstable_by_key(|managed| managed.claim.id);
        for ManagedLease { lease, claim, .. } in leases {
            lease.lose(Lost { reason: LostReason::Closed, certain: true });
            self.release_later(claim, None, None);
        }
    }

    /// Ends the watchdog after the pending releases.
    pub(super) fn finish(&self) {
        self.with(|state| state.phase = Phase::Finished);
    }

    /// Completes when the watchdog has something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl State {
    /// The first timer; remembered, so that later timers do not wake the watchdog.
    pub(super) fn sleep_until(&mut self) -> Option<Moment> {
        self.asleep_until = self.first_timer();
        self.asleep_until
    }

    fn first_timer(&self) -> Option<Moment> {
        self.timers.first().map(|(moment, _)| *moment)
    }

    /// Whether there is something to do for a watchdog that sleeps.
    fn is_work(&self) -> bool {
        let oversleeps = |first| self.asleep_until.is_none_or(|until| first < until);
        self.phase == Phase::Finished
            || !self.pending_releases.is_empty()
            || self.first_timer().is_some_and(oversleeps)
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
            let is_lost = self.with_lease(id, |managed| {
                let is_lost = managed.lease.check().is_err();
                if !is_lost && managed.jeopardy_at.is_some_and(|moment| moment <= now) {
                    managed.lease.jeopardize();
                }
                is_lost
            });
            if is_lost == Some(true) {
                self.totals.lose(id);
            }
        }
    }

    /// Changes and reschedules a lease, if it is managed. One that is over then is removed, and counted as lost.
    pub(super) fn with_lease<T>(
        &mut self,
        id: ClaimId,
        change: impl FnOnce(&mut ManagedLease) -> T,
    ) -> Option<T> {
        let mut managed = self.remove(id)?;
        let answer = change(&mut managed);
        match managed.is_over {
            true => self.totals.lose(id),
            false => self.insert(managed),
        }
        Some(answer)
    }

    fn insert(&mut self, mut managed: ManagedLease) {
        let timers = [managed.renew_at, managed.jeopardy_at].into_iter().flatten();
        managed.due = timers.fold(managed.signal_at(), Moment::min);
        managed.is_counted = managed.lease.last_status() == Status::Jeopardy;
        self.totals.in_jeopardy += usize::from(managed.is_counted);
        self.timers.insert((managed.due, managed.claim.id));
        self.leases.insert(managed.claim.id, managed);
    }

    pub(super) fn remove(&mut self, id: ClaimId) -> Option<ManagedLease> {
        let managed = self.leases.remove(&id)?;
        self.timers.remove(&(managed.due, id));
        self.totals.in_jeopardy -= usize::from(managed.is_counted);
        Some(managed)
    }
}
