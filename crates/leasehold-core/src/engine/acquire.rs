//! The acquire loop: claim, subscribe, claim again, wait.

use std::{sync::Arc, time::Duration};

use tracing::Instrument;

use super::{
    Engine, Hold, LockOptions,
    attempt::Attempt,
    core::Handle,
    fairness::{OVERTAKEN_MAX, STAND_BACKS_MAX, WHEN_WOKEN, ask_again_in},
    hold::Granted,
    last_answer::{LastAnswer, mismatch, too_slow},
    local_queue::LocalPermit,
    patience::Patience,
    telemetry::{self, Waiting},
    throttle::WakeThrottle,
};
use crate::{
    Busy, Claim, ClaimId, Env, Error, ErrorKind, Interest, LockName, Mode, Moment, Queueing, Result,
    Standing, Wake,
    decide::{backoff, validity},
};

/// How many grants may arrive after their deadline before the claim fails.
const LATE_GRANTS_MAX: u32 = 3;
/// The time for one answer of the store that a wait has at least, however short it is.
const ANSWER_MIN: Duration = Duration::from_millis(100);

/// How long to wait for a taken lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most this long.
    For(Duration),
    /// Until it is granted.
    Forever,
}

/// Called each time the store answers that the lock is taken, with its holder and for how long.
pub type Observer = Arc<dyn Fn(&Busy) + Send + Sync>;

impl Engine {
    /// Asks for a lock; `None` when the store has said that it is taken, for as long as `wait` allows.
    ///
    /// A store that fails is asked again: while waiting, until it has failed for `options.retry_timeout`; without
    /// waiting, three times within that time. A wait that ends takes at most a tenth of a second longer for the answer
    /// that is due.
    ///
    /// # Errors
    /// Those of [`Engine::admits`], and those of the store that outlasted the wait or the retry timeout, or can never
    /// pass.
    ///
    /// # Cancel safety
    /// Cancel safe: when the future is dropped, the watchdog carries the request that is under way to its end and
    /// then releases the claim. No hold and no place in the queue remains.
    pub async fn acquire(
        &self,
        name: &LockName,
        mode: Mode,
        options: &LockOptions,
        wait: Wait,
        observer: Option<&Observer>,
    ) -> Result<Option<Hold>> {
        let core = &self.0;
        let claim = Arc::new(self.claim(name, mode, options, wait, ClaimId::mint(&core.env))?);
        let begin = core.env.now();
        let mut acquire = Acquire {
            core,
            options,
            observer,
            begin,
            end: match wait {
                Wait::No => Some(begin + options.retry_timeout),
                Wait::For(span) => Some(begin + span),
                Wait::Forever => None,
            },
            waits: wait != Wait::No,
            place: None,
            asks_since: begin,
            fair_at: None,
            seen: LastAnswer::None,
            patience: Patience::default(),
            late_grants: 0,
            granted_at: None,
            throttle: WakeThrottle::default(),
            wake: None,
            waiting: None,
        };
        let span = telemetry::acquiring(core, name, mode);
        let result = acquire.run(claim).instrument(span.clone()).await;
        let outcome = match &result {
            Ok(Some(_)) => "acquired",
            Ok(None) if wait == Wait::No => "busy",
            Ok(None) => "timeout",
            Err(_) => "error",
        };
        let end = acquire.granted_at.unwrap_or_else(|| core.env.now());
        span.record("lock.outcome", outcome);
        telemetry::acquired(core, name, mode, end.since(begin), acquire.patience.failures, outcome);
        let result = result.map(|hold| hold.map(Hold::traced));
        core.explain(result, "lock", name).map_err(|error| error.elapsed(end.since(begin)))
    }
}

struct Acquire<'a> {
    core: &'a Arc<Handle>,
    options: &'a LockOptions,
    observer: Option<&'a Observer>,
    begin: Moment,
    /// The end of the wait, and of the patience with the store where nothing is waited for.
    end: Option<Moment>,
    waits: bool,
    /// The place among the other tasks of this client. A claim that does not wait, or that queues in order, asks the
    /// store directly.
    place: Option<LocalPermit>,
    /// When it was first in its client's queue.
    asks_since: Moment,
    /// When the claim, which may be overtaken, queues in order.
    fair_at: Option<Moment>,
    seen: LastAnswer,
    patience: Patience,
    late_grants: u32,
    granted_at: Option<Moment>,
    throttle: WakeThrottle,
    wake: Option<Box<dyn Wake>>,
    waiting: Option<Waiting>,
}

/// The result of one request.
enum Step {
    Granted(Granted),
    Busy(Busy),
    AskAgain,
    AskAnew,
}

impl Acquire<'_> {
    fn env(&self) -> &Env {
        &self.core.env
    }

    async fn run(&mut self, claim: Arc<Claim>) -> Result<Option<Hold>> {
        if self.waits && !self.options.fair {
            let mut place = self.core.local.place(&claim.name, self.begin);
            if !place.try_enter() {
                self.waiting = Some(Waiting::new(self.core, &claim.name));
                match self.end {
                    None => place.enter().await,
                    Some(end) if self.env().until(end, place.enter()).await.is_some() => {}
                    Some(_) => return place.seen().at_end(),
                }
                self.asks_since = self.env().now();
            }
            self.fair_at = self.core.streaks.is_none().then(|| place.since() + OVERTAKEN_MAX);
            self.place = Some(place);
        }
        let mut attempt = Attempt::new(self.core, claim)?;
        let answer = self.poll_until_granted(&mut attempt).await;
        if let Ok(Some(granted)) = answer {
            return Ok(Some(self.hold(attempt, granted)));
        }
        attempt.give_up(self.limit(self.env().now())).await;
        answer.and_then(|_| self.seen.at_end())
    }

    /// How long the store may take to answer: not longer than the rest of the wait.
    fn limit(&self, now: Moment) -> Duration {
        let rest = self.end.map(|end| end.since(now).max(ANSWER_MIN));
        rest.map_or(self.options.retry_timeout, |rest| rest.min(self.options.retry_timeout))
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= self.env().now())
    }

    /// Remembers an answer for the end of the wait, and for the tasks behind this one. Once the store has said that the
    /// lock is taken, later failures do not count.
    fn saw(&mut self, answer: LastAnswer) {
        if let Some(place) = &self.place {
            place.tell(&answer);
        }
        if !matches!(self.seen, LastAnswer::NotYet) {
            self.seen = answer;
        }
    }

    /// Repeats the claim until it is granted, the wait is over (`None`), or an error is final.
    async fn poll_until_granted(&mut self, attempt: &mut Attempt) -> Result<Option<Granted>> {
        let mut now = self.wait_for_neighbour().await;
        loop {
            let sent = self.take_turns(&mut attempt.claim, now).await;
            let limit = self.limit(sent);
            let answer = attempt.ask(limit).await;
            if let Err(error) = &answer {
                let is_cut = limit < self.options.retry_timeout;
                self.saw(self.seen.or_failure(error, is_cut));
            }
            if attempt.is_stuck() {
                return if self.is_over() { Ok(None) } else { answer.map(|_| None) };
            }
            match self.classify(sent, answer, &attempt.claim)? {
                Step::Granted(granted) => return Ok(Some(granted)),
                // The claim was removed from the store by force: its id is spent.
                Step::AskAnew => {
                    let claim = Claim { id: ClaimId::mint(self.env()), ..(*attempt.claim).clone() };
                    *attempt = Attempt::new(self.core, Arc::new(claim))?;
                    self.wake = None;
                }
                Step::AskAgain => {
                    if !self.pause().await {
                        return Ok(None);
                    }
                }
                Step::Busy(busy) => {
                    if let Some(observer) = self.observer {
                        observer(&busy);
                    }
                    if self.waits && self.waiting.is_none() {
                        self.waiting = Some(Waiting::new(self.core, &attempt.claim.name));
                    }
                    if !self.waits || !Box::pin(self.wait_for_wake(&attempt.claim, &busy)).await {
                        return Ok(None);
                    }
                }
            }
            now = self.env().now();
        }
    }

    /// While another task of this client holds the lock alone, the store would only say so: waits for its release, for a
    /// part of the wait and for as long as a waiter may be overtaken. Answers the moment after it.
    async fn wait_for_neighbour(&mut self) -> Moment {
        let (core, now) = (self.core, self.asks_since);
        let Some(place) = self.place.as_ref().filter(|_| self.observer.is_none()) else { return now };
        let part = self.end.map_or(OVERTAKEN_MAX, |end| OVERTAKEN_MAX.min(end.since(now) / 4));
        let until = self.fair_at.map_or(now + part, |fair_at| fair_at.min(now + part));
        if place.neighbour_has_left(&core.env, until).await { core.env.now() } else { now }
    }

    /// Before a request at `now`: a claim that was overtaken for long enough queues in order from now on, and a client that
    /// has had the lock for long lets others ask. Answers when the request may be sent.
    async fn take_turns(&mut self, claim: &mut Arc<Claim>, mut now: Moment) -> Moment {
        if self.fair_at.is_some_and(|at| at <= now) {
            Arc::make_mut(claim).queueing = Queueing::Fifo;
            self.fair_at = None;
            self.throttle = WakeThrottle::default();
        }
        let (Some(streaks), true) = (&self.core.streaks, self.place.is_some()) else { return now };
        for _ in 0..STAND_BACKS_MAX {
            let Some(pause) = streaks.stand_back(&claim.name, now) else { return now };
            if self.end.is_some_and(|end| end <= now + pause) {
                // Rather a turn too many than an end without having asked.
                return now;
            }
            self.env().sleep(pause).await;
            now = self.env().now();
        }
        now
    }

    fn classify(&mut self, sent: Moment, answer: Result<Standing>, claim: &Claim) -> Result<Step> {
        let standing = match answer {
            Ok(standing) => standing,
            Err(error) => return self.classify_failure(error),
        };
        self.patience.answered();
        Ok(match standing {
            // A reply after the deadline is not a lock: repeat, with the same id.
            Standing::Granted(grant) => {
                let deadline = self.core.deadline(sent, grant.valid_for);
                let now = self.env().now();
                if now + validity::signal_lead(claim.ttl) < deadline {
                    self.saw(LastAnswer::NotYet);
                    if let Some(place) = &self.place {
                        place.granted(sent, claim.mode == Mode::Exclusive);
                    }
                    self.granted_at = Some(now);
                    return Ok(Step::Granted(Granted { fence: grant.fence, sent, at: now, deadline }));
                }
                self.late_grants += 1;
                self.saw(LastAnswer::Failed(too_slow(claim.ttl)));
                if self.late_grants == LATE_GRANTS_MAX {
                    return Err(too_slow(claim.ttl));
                }
                Step::AskAgain
            }
            Standing::Waiting(busy) | Standing::Held(busy) => {
                self.saw(LastAnswer::NotYet);
                if let Some(streaks) = &self.core.streaks {
                    streaks.refused(&claim.name, &busy);
                }
                Step::Busy(busy)
            }
            Standing::Mismatch { limit } => return Err(mismatch(claim.mode.limit(), limit)),
            Standing::Gone(_) => Step::AskAnew,
        })
    }

    fn classify_failure(&mut self, error: Error) -> Result<Step> {
        let (now, timeout) = (self.env().now(), self.options.retry_timeout);
        let patient = self.patience.tolerates(&error, now, timeout, self.waits);
        // There may soon be room in a store that is full.
        let may_pass = error.is_transient() || (self.waits && error.kind() == ErrorKind::Exhausted);
        if may_pass && patient { Ok(Step::AskAgain) } else { Err(error) }
    }

    /// Pauses before the next attempt; `false` when the wait is over first.
    async fn pause(&mut self) -> bool {
        let max = (self.options.retry_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let (attempt, base) = (self.patience.failures.saturating_sub(1), Duration::from_millis(10));
        self.sleep(backoff::delay(attempt, base, max, self.env().fraction())).await
    }

    async fn sleep(&mut self, span: Duration) -> bool {
        let moment = self.env().now() + span;
        self.env().sleep_until(self.end.map_or(moment, |end| end.min(moment))).await;
        self.end.is_none_or(|end| moment < end)
    }

    /// Waits until the standing may have changed; `false` when the wait is over.
    async fn wait_for_wake(&mut self, claim: &Claim, busy: &Busy) -> bool {
        let now = self.env().now();
        if self.is_over() {
            return false;
        }
        let limit = self.limit(now);
        let Some(wake) = &mut self.wake else {
            // Subscribe, claim again, then wait: no wake-up in between is lost.
            let subscription = self.core.store.watch(&claim.name, Interest::Turn(claim.id));
            match self.core.ask(limit, subscription).await {
                Ok(wake) => self.wake = Some(wake),
                Err(error) => {
                    tracing::debug!(lock = %claim.name, %error, "no wake-up: the claim is repeated after a pause");
                    return self.sleep(busy.recheck_in.min(Duration::from_secs(1))).await;
                }
            }
            return true;
        };
        let mut recheck_in = busy.recheck_in;
        if self.core.streaks.is_some() {
            let times = if self.core.store.capability().wakes { WHEN_WOKEN } else { 1 };
            recheck_in = recheck_in.min(ask_again_in(now.since(self.asks_since)) * times);
        }
        // Waiters for the same end do not all return in the same instant.
        let recheck =
            now + recheck_in + self.core.env.jitter(recheck_in.min(Duration::from_millis(100)) / 10);
        let recheck = self.fair_at.map_or(recheck, |fair_at| fair_at.min(recheck));
        let moment = self.end.map_or(recheck, |end| end.min(recheck));
        let woken = LocalPermit::woken(self.place.as_ref(), wake.wait());
        if let Some(Err(error)) = self.core.env.until(moment, woken).await {
            tracing::debug!(lock = %claim.name, %error, "the subscription broke: subscribing again");
            self.wake = None;
            return self.pause().await;
        }
        self.slow_down(now).await
    }

    /// Pauses after spurious wake-ups, so that the store is not asked in a loop; `false` when the wait is over.
    async fn slow_down(&mut self, waited_since: Moment) -> bool {
        if let Some(pause) = self.throttle.pause(&self.core.env, waited_since) {
            let now = self.env().now();
            let longest = match self.fair_at {
                Some(fair_at) => fair_at.since(now),
                // It may be overtaken whenever it does not ask.
                None if self.core.streaks.is_some() => ask_again_in(now.since(self.asks_since)),
                None => pause,
            };
            return self.sleep(pause.min(longest)).await;
        }
        !self.is_over()
    }

    fn hold(&self, attempt: Attempt, granted: Granted) -> Hold {
        tracing::debug!(lock = %attempt.claim.name, mode = %attempt.claim.mode, fence = ?granted.fence,
            waited_ms = granted.at.since(self.begin).as_millis() as u64, "granted");
        if let Some(streaks) = &self.core.streaks {
            streaks.granted(&attempt.claim, granted.sent, granted.at);
        }
        Hold::new(attempt, granted, self.options)
    }
}
