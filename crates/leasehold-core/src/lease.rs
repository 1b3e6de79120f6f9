//! [`Lease`]: a granted claim as its holder sees it.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    Claim, ClaimId, Env, FencingToken, LockName, Lost, LostReason, Mode, Moment, Sequencer, store_kit::Locked,
};

/// How a lease stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Confirmed, and renewed in time.
    Safe,
    /// Still valid, but a renewal is overdue. It becomes [`Status::Safe`] again when one is confirmed.
    Jeopardy,
    /// Over. It never comes back.
    Lost(Lost),
}

/// The view of a holder on its hold: the remaining time, the fencing token and the signal of its loss.
///
/// Clones share one lease, so that every task under a guard can check it. A lease that is not renewed in time is lost
/// at its deadline, and every method reports it from that instant on, without the network. When the guard is released or
/// dropped, the clones that are left report the end as well, before the store is asked to free the lock.
#[derive(Clone)]
pub struct Lease(Arc<Shared>);

struct Shared {
    env: Env,
    claim: Arc<Claim>,
    granted: Moment,
    hold_until: Option<Moment>,
    state: Locked<State>,
    /// Notifies of a new status. Made by the first task that waits for one.
    announced: OnceLock<watch::Sender<()>>,
}

/// State that changes during the lease.
#[derive(Clone, Copy)]
struct State {
    status: Status,
    deadline: Moment,
    mode: Mode,
    fence: Option<FencingToken>,
}

impl Lease {
    pub(crate) fn new(
        env: &Env,
        claim: Arc<Claim>,
        fence: Option<FencingToken>,
        granted: Moment,
        deadline: Moment,
        max_hold: Option<Duration>,
    ) -> Self {
        let hold_until = max_hold.map(|span| granted + span);
        let deadline = deadline.min(hold_until.unwrap_or(deadline));
        Lease(Arc::new(Shared {
            env: env.clone(),
            granted,
            hold_until,
            state: Locked::new(State { status: Status::Safe, deadline, mode: claim.mode, fence }),
            announced: OnceLock::new(),
            claim,
        }))
    }

    /// The lock.
    pub fn name(&self) -> &LockName {
        &self.0.claim.name
    }

    /// The claim that was granted: the proof of ownership.
    pub fn id(&self) -> ClaimId {
        self.0.claim.id
    }

    /// How the lock is held.
    pub fn mode(&self) -> Mode {
        self.state().mode
    }

    /// The token to present to every resource that this lock protects; `None` where the store cannot order grants.
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.state().fence
    }

    /// Name, mode and token in one printable string, to give to a third party.
    pub fn sequencer(&self) -> Option<Sequencer> {
        let state = self.state();
        state.fence.map(|fence| Sequencer::new(self.0.claim.name.clone(), state.mode, fence))
    }

    /// How long the lease is valid from now, without an answer of the store. Zero once it is lost. No I/O.
    pub fn remaining(&self) -> Duration {
        match self.status() {
            Status::Lost(_) => Duration::ZERO,
            Status::Safe | Status::Jeopardy => self.deadline().since(self.0.env.now()),
        }
    }

    /// The moment at which it is lost without an answer of the store.
    pub fn deadline(&self) -> Moment {
        self.state().deadline
    }

    /// How long it has been held.
    pub fn age(&self) -> Duration {
        self.0.env.now().since(self.0.granted)
    }

    /// Whether the lease is valid at this instant. Call it before each side effect. No I/O: it reads the clock, so
    /// it is right also in the first instruction after the process was paused.
    ///
    /// In a function that returns [`Result`](crate::Result), `lease.check()?` converts it. With an error type of your own,
    /// `lease.check().map_err(leasehold::Error::from)?` needs one conversion only.
    ///
    /// # Errors
    /// [`Lost`], from the deadline on for ever.
    pub fn check(&self) -> Result<(), Lost> {
        if self.0.env.check_process().is_err() {
            return Err(Lost { reason: LostReason::Forked, certain: true });
        }
        self.check_at(self.0.env.now())
    }

    fn check_at(&self, now: Moment) -> Result<(), Lost> {
        let state = self.state();
        match state.status {
            Status::Lost(lost) => Err(lost),
            _ if now < state.deadline => Ok(()),
            _ => Err(self.lose(self.lost_by_time())),
        }
    }

    /// How long it has been held, and whether it was lost before its holder ended it.
    pub(crate) fn age_and_loss(&self) -> (Duration, bool) {
        let now = self.0.env.now();
        let is_lost = self.check_at(now).is_err_and(|lost| lost.reason != LostReason::Released);
        (now.since(self.0.granted), is_lost)
    }

    /// How the lease stands at this instant.
    pub fn status(&self) -> Status {
        match self.check() {
            Err(lost) => Status::Lost(lost),
            Ok(()) => self.last_status(),
        }
    }

    /// The status that was last announced, whatever the time is.
    pub(crate) fn last_status(&self) -> Status {
        self.state().status
    }

    /// Waits until the status is another than `seen`, and answers it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed_from(&self, seen: Status) -> Status {
        self.announced(|status| status != seen).await
    }

    /// Waits until a status is announced that is `wanted`.
    async fn announced(&self, wanted: impl Fn(Status) -> bool) -> Status {
        // Before the status is read: a change in between is not missed.
        let mut announced = self.0.announced.get_or_init(watch::Sender::default).subscribe();
        loop {
            let status = self.last_status();
            if wanted(status) {
                return status;
            }
            if announced.changed().await.is_err() {
                // Never: the sender lives as long as `self`.
                return std::future::pending().await;
            }
        }
    }

    /// Completes when the lease is lost, no later than its deadline, with the reason. Never completes otherwise.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) -> Lost {
        let mut announced = pin!(self.announced(|status| matches!(status, Status::Lost(_))));
        poll_fn(|context| match self.check() {
            Err(lost) => Poll::Ready(lost),
            Ok(()) => {
                let is_lost = announced.as_mut().poll(context);
                is_lost.map(|_| self.check().err().unwrap_or(Lost::EXPIRED))
            }
        })
        .await
    }

    /// Runs `work` while the lease is valid. The lease is checked before every poll, so a process that slept past
    /// its deadline never executes another step of `work`; when it is lost, `work` is dropped.
    ///
    /// # Errors
    /// [`Lost`] when the lease was lost before `work` was done, or by the time its last step had ended: what it did
    /// may then overlap with the next holder, and only a fenced resource is safe.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        let mut work = pin!(work);
        let mut lost = pin!(self.lost());
        poll_fn(|context| {
            if let Poll::Ready(lost) = lost.as_mut().poll(context) {
                return Poll::Ready(Err(lost));
            }
            match work.as_mut().poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(output) => Poll::Ready(self.check().map(|()| output)),
            }
        })
        .await
    }

    /// Takes over a confirmation by the store; answers whether the lease lives. What is lost stays lost.
    pub(crate) fn confirm(&self, deadline: Moment) -> bool {
        if self.check().is_err() {
            return false;
        }
        let deadline = deadline.min(self.0.hold_until.unwrap_or(deadline));
        self.change(|state| {
            state.deadline = state.deadline.max(deadline);
            state.status = Status::Safe;
        });
        true
    }

    /// Takes over what an amendment changed.
    pub(crate) fn amended(&self, mode: Mode, fence: Option<FencingToken>) {
        self.change(|state| (state.mode, state.fence) = (mode, fence));
    }

    pub(crate) fn jeopardize(&self) {
        self.change(|state| state.status = Status::Jeopardy);
    }

    /// Ends the lease and answers why it ended: the first reason stays.
    pub(crate) fn lose(&self, lost: Lost) -> Lost {
        self.change(|state| state.status = Status::Lost(lost));
        match self.last_status() {
            Status::Lost(first) => first,
            Status::Safe | Status::Jeopardy => lost,
        }
    }

    /// The reason of a loss by the deadline.
    pub(crate) fn lost_by_time(&self) -> Lost {
        match self.0.hold_until {
            Some(until) if until <= self.deadline() => Lost { reason: LostReason::MaxHold, certain: true },
            _ => Lost::EXPIRED,
        }
    }

    /// Changes what is not lost, and announces a new status.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock();
        let before = state.status;
        if matches!(before, Status::Lost(_)) {
            return;
        }
        change(&mut state);
        let is_new = state.status != before;
        // A waker may look at the lease.
        drop(state);
        if let Some(announced) = self.0.announced.get().filter(|_| is_new) {
            announced.send_replace(());
        }
    }

    fn state(&self) -> State {
        *self.0.state.lock()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", self.name())
            .field("id", &self.id())
            .field("mode", &self.mode())
            .field("fencing_token", &self.fencing_token())
            .field("remaining", &self.remaining())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        task::{Context, Waker},
    };

    use super::*;
    use crate::env::Virtual;

    fn lease(world: &Virtual, max_hold: Option<Duration>) -> Lease {
        let env = world.env();
        let claim = Claim::new(LockName::new("x").unwrap(), ClaimId::from_bits(1), Duration::from_secs(10));
        Lease::new(&env, Arc::new(claim), None, env.now(), env.now() + Duration::from_secs(10), max_hold)
    }

    #[test]
    fn what_waits_for_a_lease_may_move_between_threads() {
        fn send<T: Send>(_: T) {}
        let lease = lease(&Virtual::new(1), None);
        send(lease.lost());
        send(lease.changed_from(Status::Safe));
        send(lease.run(async {}));
    }

    #[test]
    fn promise_3_check_is_exact_after_a_pause_with_nobody_telling() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        world.pause(Duration::from_nanos(9_999_999_999));
        assert_eq!((lease.check(), lease.remaining()), (Ok(()), Duration::from_nanos(1)));
        world.pause(Duration::from_nanos(1));
        assert_eq!((lease.check(), lease.remaining()), (Err(Lost::EXPIRED), Duration::ZERO));
    }

    #[test]
    fn promise_4_a_process_that_slept_past_the_deadline_executes_no_further_poll() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        let polls = AtomicU64::new(0);
        let work = poll_fn(|_| {
            polls.fetch_add(1, Ordering::AcqRel);
            Poll::<()>::Pending
        });
        let mut run = pin!(lease.run(work));
        let mut context = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut context).is_pending());
        world.pause(Duration::from_secs(10));
        assert_eq!(run.as_mut().poll(&mut context), Poll::Ready(Err(Lost::EXPIRED)));
        assert_eq!(polls.load(Ordering::Acquire), 1);
    }

    #[test]
    fn work_whose_last_step_outlived_the_lease_is_not_called_done() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        let slow_step = async { world.pause(Duration::from_secs(11)) };
        assert_eq!(world.block_on(lease.run(slow_step)), Err(Lost::EXPIRED));
    }

    #[test]
    fn what_is_lost_stays_lost_and_keeps_its_first_reason() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        let gone = Lost { reason: LostReason::Gone, certain: true };
        assert_eq!(lease.lose(gone), gone);
        assert_eq!(lease.lose(Lost::EXPIRED), gone);
        assert!(!lease.confirm(world.env().now() + Duration::from_secs(100)));
        assert_eq!(lease.check(), Err(gone));
    }

    #[test]
    fn promise_2_a_confirmation_that_comes_after_the_deadline_revives_nothing() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        world.pause(Duration::from_secs(10));
        assert!(!lease.confirm(world.env().now() + Duration::from_secs(10)));
        assert_eq!(lease.check(), Err(Lost::EXPIRED));
    }

    #[test]
    fn jeopardy_is_announced_and_taken_back() {
        let world = Virtual::new(1);
        let lease = lease(&world, None);
        lease.jeopardize();
        assert_eq!(world.block_on(lease.changed_from(Status::Safe)), Status::Jeopardy);
        assert!(lease.confirm(world.env().now() + Duration::from_secs(20)));
        assert_eq!(lease.status(), Status::Safe);
        assert_eq!(lease.remaining(), Duration::from_secs(20));
    }

    #[test]
    fn max_hold_caps_every_confirmation() {
        let world = Virtual::new(1);
        let lease = lease(&world, Some(Duration::from_secs(15)));
        assert!(lease.confirm(world.env().now() + Duration::from_secs(60)));
        world.pause(Duration::from_secs(15));
        assert_eq!(lease.check().unwrap_err().reason, LostReason::MaxHold);
    }
}
