//! [`OncePer`]: a job that runs once per slot of time on the whole fleet.

use std::{future::Future, time::Duration};

use leasehold_core::{
    Binding, Busy, Contender, Error, ErrorKind, Hold, Lease, LockName, LockOptions, Mode, Moment, Result,
    Snapshot, env::show,
};

use super::{LockSpec, blocking, released};
use crate::{Note, block_on};

/// The slot of a run: all nodes that mean the same run must name the same slot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Slot(Kind);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Every(Duration),
    Named(String),
}

impl Slot {
    /// One run each `period`. Slots begin at multiples of `period` since 1970 (UTC), by each node's calendar.
    pub fn every(period: Duration) -> Self {
        Slot(Kind::Every(period))
    }

    /// The run that this text names, for example the fire time that a scheduler has computed.
    pub fn named(text: impl Into<String>) -> Self {
        Slot(Kind::Named(text.into()))
    }
}

/// The present slot, and the time to its end.
struct Current {
    key: String,
    rest: Option<Duration>,
    seen_at: Moment,
}

impl Current {
    fn is_over(&self, now: Moment) -> bool {
        self.rest.is_some_and(|rest| now.since(self.seen_at) > rest)
    }
}

/// How often a slot may be over before it is granted.
const LATE_MAX: u32 = 3;

/// The outcome of an attempt to run a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunOutcome<T> {
    /// It ran here.
    Ran(T),
    /// It runs or has run elsewhere, or here before.
    AlreadyTaken {
        /// The node that has the slot, if the store knows it.
        by: Option<Contender>,
        /// Whether that run has ended with success. A run that failed stays `Some(false)`, as does one whose end could not be
        /// written down. `None` in a store that keeps no notes ([`Capability::notes`](crate::store::Capability)).
        finished: Option<bool>,
    },
}

impl<T> RunOutcome<T> {
    /// The output of the work, if it ran here.
    pub fn ran(self) -> Option<T> {
        match self {
            RunOutcome::Ran(output) => Some(output),
            RunOutcome::AlreadyTaken { .. } => None,
        }
    }
}

/// A job that runs once per slot on the whole fleet: a cheap description, `Clone`, no I/O.
///
/// A plain lock is not enough for a short job: a node whose clock is a little behind would find it free again. So the
/// slot stays taken to its end, and for the [`clock_skew`](OncePer::clock_skew) that nodes may be apart (10 s, at most
/// half a slot), however quick the job was.
///
/// By default a run that failed, or whose node died, is **not** repeated: the slot stays taken, because a skipped run
/// is less often a harm than a double one. [`retry_failed`](OncePer::retry_failed) lets the next attempt run it again.
///
/// A slot is a lock of its own: it excludes neither a [`Mutex`](crate::Mutex) of the same name nor a run of the last slot that
/// takes longer than the slot. Work that may take longer holds such a mutex, too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// use leasehold::{RunOutcome, Slot};
/// let locks = leasehold::Client::connect("memory:").await?;
/// let report = locks.once_per("nightly report", Slot::named("2026-11-22"))?;
/// assert_eq!(report.run(|_lease| async { 7 }).await?, RunOutcome::Ran(7));
/// assert!(matches!(report.run(|_lease| async { 7 }).await?, RunOutcome::AlreadyTaken { finished: Some(true), .. }));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct OncePer {
    /// The lock of the slot, but for its name and how long it stays taken.
    spec: LockSpec,
    job: String,
    slot: Slot,
    clock_skew: Duration,
    hold_at_least: Duration,
    hold_at_most: Option<Duration>,
    retry_failed: bool,
}

const SKEW: Duration = Duration::from_secs(10);
const NAMED_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

impl OncePer {
    pub(crate) fn new(spec: LockSpec, job: &str, slot: Slot) -> Result<Self> {
        let (clock_skew, hold_at_least) = match &slot.0 {
            Kind::Every(period) if period.as_micros() == 0 => {
                return Err(Error::new(ErrorKind::Invalid, "a slot must be longer than nothing")
                    .hint("for example one minute"));
            }
            Kind::Every(period) => (SKEW.min(*period / 2), Duration::ZERO),
            Kind::Named(_) => (Duration::ZERO, NAMED_KEPT_FOR),
        };
        let once = OncePer {
            spec,
            job: job.to_string(),
            slot,
            clock_skew,
            hold_at_least,
            hold_at_most: None,
            retry_failed: false,
        };
        once.spec_of(&once.current())?.check().map(|()| once)
    }

    /// How far the calendars of any two nodes may be apart.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// For how long the slot stays taken at least, counted from the start of the run. A slot of [`Slot::every`] stays
    /// taken to its end in any case; a named one has no end, and stays taken for 24 hours unless this says otherwise.
    #[must_use]
    pub fn hold_at_least(mut self, time: Duration) -> Self {
        self.hold_at_least = time;
        self
    }

    /// How long the work may take; then it is dropped, and has failed.
    #[must_use]
    pub fn hold_at_most(mut self, time: Duration) -> Self {
        self.hold_at_most = Some(time);
        self
    }

    /// Lets another node, or this one, run the slot again when a run failed, was dropped, or died with its node.
    #[must_use]
    pub fn retry_failed(mut self) -> Self {
        self.retry_failed = true;
        self
    }

    /// The lock of the slot that it is now: the job and the slot in one name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the two together are too long.
    pub fn name(&self) -> Result<LockName> {
        self.name_of(&self.current())
    }

    /// Runs `work` under a lease if this slot is not taken. Whatever it answers is success.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lease was lost before the work was done, [`ErrorKind::TimedOut`] when it took longer
    /// than [`hold_at_most`](OncePer::hold_at_most); those of the store. In each case the run has failed.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work: the run has failed.
    pub async fn run<T, F: Future<Output = T>>(
        &self,
        work: impl FnOnce(Lease) -> F,
    ) -> Result<RunOutcome<T>> {
        let work = |lease| async { Ok::<T, std::convert::Infallible>(work(lease).await) };
        Ok(match self.try_run(work).await? {
            RunOutcome::Ran(Ok(output)) => RunOutcome::Ran(output),
            RunOutcome::AlreadyTaken { by, finished } => RunOutcome::AlreadyTaken { by, finished },
        })
    }

    /// As [`OncePer::run`], for work that can fail: its `Err` is a failed run.
    ///
    /// # Errors
    /// As [`OncePer::run`].
    ///
    /// # Cancel safety
    /// As [`OncePer::run`].
    pub async fn try_run<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        work: impl FnOnce(Lease) -> F,
    ) -> Result<RunOutcome<Result<T, E>>> {
        let env = self.spec.engine.env();
        let begin = env.now();
        let (current, mut run) = match self.take_slot().await? {
            Ok(taken) => taken,
            Err(busy) => return Ok(self.already_taken(busy)),
        };
        let lease = run.lease()?;
        let work = lease.run(work(lease.clone()));
        let output = match self.hold_at_most {
            None => work.await?,
            Some(most) => env.until(begin + most, work).await.ok_or_else(|| too_long(most))??,
        };
        if output.is_ok() && self.spec.engine.store().capability().notes {
            run.finish(&self.spec.options).await;
        }
        if self.retry_failed {
            match output.is_ok() {
                true => run.keep(self.kept_for(&current).saturating_sub(env.now().since(begin))).await,
                false => run.free().await,
            }
        }
        Ok(RunOutcome::Ran(output))
    }

    /// Takes the present slot. One that was over before it was granted may have been run elsewhere and be free again: the
    /// process stood still, or the request was delivered late.
    async fn take_slot(&self) -> Result<std::result::Result<(Current, Run), Busy>> {
        for _ in 0..LATE_MAX {
            let current = self.current();
            let hold = match self.spec_of(&current)?.acquire_or_busy(Mode::Exclusive).await? {
                Ok(hold) => hold,
                Err(busy) => return Ok(Err(busy)),
            };
            let mut run = Run { hold: Some(hold), stays_taken: !self.retry_failed };
            if !current.is_over(self.spec.engine.env().now()) {
                return Ok(Ok((current, run)));
            }
            run.free().await;
        }
        Err(Error::new(ErrorKind::TimedOut, "each slot was over before it was granted")
            .hint("make the slots longer than a request to the store takes"))
    }

    /// [`OncePer::run`] without async. Blocking code cannot be stopped from outside: `work` calls [`Lease::check`] before
    /// each side effect.
    ///
    /// # Errors
    /// As [`OncePer::run`]; [`ErrorKind::WouldDeadlock`] in an async task.
    pub fn blocking_run<T>(&self, work: impl FnOnce(&Lease) -> T) -> Result<RunOutcome<T>> {
        block_on::wait(self.run(|lease| async move { work(&lease) }))
    }

    /// The time to the next slot, by this node's calendar; `None` for a slot that has a name.
    pub fn next_in(&self) -> Option<Duration> {
        self.current().rest
    }

    /// Holders of the present slot, as the store knew them a moment ago.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Snapshot> {
        self.spec_of(&self.current())?.inspect().await
    }

    /// Frees the present slot: the job may run again in it. Answers the evicted holder.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it done or not done.
    pub async fn force_release(&self) -> Result<Vec<Contender>> {
        self.spec_of(&self.current())?.force_release().await
    }

    /// The lock of a slot. Without retries it is held from the start by time alone, for the whole slot: then no failure
    /// of ours, not even of the last request, can free it early.
    fn spec_of(&self, current: &Current) -> Result<LockSpec> {
        let mut spec = LockSpec { name: self.name_of(current)?, ..self.spec.clone() };
        if !self.retry_failed {
            spec.options.max_hold = None;
            spec.options.ttl = self.kept_for(current);
            spec.options.binding = Binding::Ttl;
        }
        Ok(spec)
    }

    fn kept_for(&self, current: &Current) -> Duration {
        let capability = self.spec.engine.store().capability();
        let rest = current.rest.map_or(Duration::ZERO, |rest| rest + self.clock_skew);
        rest.max(self.hold_at_least).clamp(capability.ttl_min, capability.ttl_max)
    }

    fn current(&self) -> Current {
        let seen_at = self.spec.engine.env().now();
        match &self.slot.0 {
            Kind::Named(text) => Current { key: text.clone(), rest: None, seen_at },
            Kind::Every(period) => {
                let (wall_us, period_us) = (u128::from(self.spec.engine.env().wall_us()), period.as_micros());
                let number = wall_us / period_us;
                let rest_us = (number + 1) * period_us - wall_us;
                let key = format!("{number}/{period_us}us");
                let rest = Duration::from_micros(u64::try_from(rest_us).unwrap_or(u64::MAX));
                Current { key, rest: Some(rest), seen_at }
            }
        }
    }

    fn already_taken<T>(&self, busy: Busy) -> RunOutcome<T> {
        let keeps_notes = self.spec.engine.store().capability().notes;
        let note = busy.holder.as_ref().and_then(|holder| holder.note.as_deref()).map(Note::read);
        let finished = keeps_notes.then(|| note.is_some_and(|note| note.finished));
        RunOutcome::AlreadyTaken { finished, by: busy.holder }
    }

    /// Job and slot, put together so that no two pairs have the same name.
    fn name_of(&self, current: &Current) -> Result<LockName> {
        let job = self.job.replace('%', "%25").replace('@', "%40");
        LockName::new(format!("{job}@{}", current.key))
    }
}

blocking!(OncePer, self: [&self] {
    blocking_inspect = inspect() -> Snapshot;
    blocking_force_release = force_release() -> Vec<Contender>;
});

fn too_long(most: Duration) -> Error {
    Error::new(ErrorKind::TimedOut, format!("the job took longer than {}", show(most))).unknown()
}

/// A run under way. However it ends, dropped or in panic, the slot is left taken or free as configured.
struct Run {
    hold: Option<Hold>,
    stays_taken: bool,
}

impl Run {
    fn lease(&self) -> Result<Lease> {
        let hold = self.hold.as_ref();
        hold.map(|hold| hold.lease().clone()).ok_or_else(|| Error::new(ErrorKind::Closed, "the run is over"))
    }

    /// Writes down in the note of the hold that the job is done.
    async fn finish(&mut self, options: &LockOptions) {
        let mut note = options.note.as_deref().map(Note::read).unwrap_or_default();
        note.finished = true;
        let Some(hold) = &mut self.hold else { return };
        if let Err(error) = hold.amend(|claim| claim.note = Some(note.to_string().into())).await {
            tracing::warn!(lock = %hold.name(), %error, "the job is done, but others see it as running");
        }
    }

    /// Frees the slot for the next attempt.
    async fn free(&mut self) {
        if let Some(hold) = self.hold.take() {
            released(hold.release().await);
        }
    }

    /// Leaves the slot taken for the rest of it, if there is a rest.
    async fn keep(&mut self, rest: Duration) {
        let Some(hold) = self.hold.take().filter(|_| !rest.is_zero()) else { return };
        let name = hold.name().clone();
        if let Err(error) = hold.detach(rest).await {
            tracing::warn!(lock = %name, %error, "the job is done, but its slot may be run again");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take().filter(|_| self.stays_taken) else { return };
        // A lease that was lost is nothing to leave.
        let _ = hold.into_ticket();
    }
}
