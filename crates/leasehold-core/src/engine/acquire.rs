//! The acquire loop: ask, subscribe, ask again, wait.

use std::{sync::Arc, time::Duration};

use super::{
    Core, Engine, Hold, LockOptions,
    attempt::Attempt,
    deadline,
    hold::Granted,
    local_queue::Turn,
    telemetry::{self, Ending},
    throttle::WakeThrottle,
};
use crate::{
    Busy, Claim, ClaimId, Env, Error, ErrorKind, Grant, Interest, LockName, Mechanism, Mode, Moment, Result,
    Standing, Wake,
    decide::{backoff, validity},
};

/// How long to wait for a lock that somebody else has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most this long.
    For(Duration),
    /// Until it is granted.
    Forever,
}

/// Is told, each time the store answers that the lock is taken, who has it and for how long.
pub type Observer = Arc<dyn Fn(&Busy) + Send + Sync>;

/// How often a claim that must not wait is repeated when the store does not answer.
const TRIES_WITHOUT_WAIT: u32 = 3;
/// How often in a row a grant may come so late that it is none any more.
const LATE_GRANTS_MAX: u32 = 3;

impl Engine {
    /// Asks for a lock; `None` when it was taken for as long as `wait` allows.
    ///
    /// A store that fails is asked again: while waiting, until it has failed for `terms.patience`; without waiting,
    /// three times.
    ///
    /// # Errors
    /// Those of [`Engine::admits`], and those of the store that outlasted the patience or can never pass.
    ///
    /// # Cancel safety
    /// Cancel safe: when the future is dropped, the watchdog carries the request that is under way to its end and
    /// then releases the claim. No hold and no place in the queue remains.
    pub async fn acquire(
        &self,
        name: &LockName,
        mode: Mode,
        terms: &LockOptions,
        wait: Wait,
        observer: Option<&Observer>,
    ) -> Result<Option<Hold>> {
        self.admits(name, mode, terms)?;
        let begin = self.0.env.now();
        let claim = self.template(name, mode, terms, wait, ClaimId::mint(&self.0.env));
        let mut acquire = Acquire {
            core: &self.0,
            terms,
            observer,
            begin,
            end: match wait {
                Wait::No => Some(begin),
                Wait::For(span) => Some(begin + span),
                Wait::Forever => None,
            },
            waits: wait != Wait::No,
            failing_since: None,
            failures: 0,
            late_grants: 0,
            pace: WakeThrottle::default(),
            wake: None,
        };
        let result = acquire.run(claim).await;
        telemetry::acquired(&self.0, mode, begin, acquire.failures, Ending::of(&result, wait));
        result.map_err(|error| self.0.explain(error, "lock", name).elapsed(self.0.env.now().since(begin)))
    }
}

struct Acquire<'a> {
    core: &'a Arc<Core>,
    terms: &'a LockOptions,
    observer: Option<&'a Observer>,
    begin: Moment,
    end: Option<Moment>,
    waits: bool,
    failing_since: Option<Moment>,
    failures: u32,
    late_grants: u32,
    pace: WakeThrottle,
    wake: Option<Box<dyn Wake>>,
}

/// What one round of asking led to.
enum Round {
    Granted(Grant, Moment),
    Busy(Busy),
    AskAgain,
    AskAnew,
    Failed(Error),
}

impl Acquire<'_> {
    fn env(&self) -> &Env {
        &self.core.env
    }

    async fn run(&mut self, mut claim: Claim) -> Result<Option<Hold>> {
        let Some(_turn) = self.local_turn(&claim.name).await else { return Ok(None) };
        loop {
            let mut attempt = Attempt::new(self.core, claim.clone())?;
            match self.pursue(&mut attempt).await {
                Ok(Some((grant, sent))) => return Ok(Some(self.hold(attempt, grant, sent))),
                Ok(None) => {
                    attempt.give_up(self.terms.patience).await;
                    return Ok(None);
                }
                // The claim was thrown out of the store while it was asked for: its id is spent.
                Err(None) => claim.id = ClaimId::mint(self.env()),
                Err(Some(error)) => {
                    attempt.give_up(self.terms.patience).await;
                    return Err(error);
                }
            }
        }
    }

    /// Waits for the other tasks of this client. Who must not wait, or queues in order, goes straight to the store.
    async fn local_turn(&mut self, name: &LockName) -> Option<Option<Turn>> {
        if !self.waits || self.terms.fair {
            return Some(None);
        }
        let turn = self.core.local.enter(name);
        match self.end {
            None => Some(Some(turn.await)),
            Some(end) => self.env().until(end, turn).await.map(Some),
        }
    }

    /// Asks until granted, or until the time is over (`None`), or until it makes no sense any more.
    async fn pursue(&mut self, attempt: &mut Attempt) -> Result<Option<(Grant, Moment)>, Option<Error>> {
        loop {
            let (sent, answer) = attempt.ask(self.terms.patience).await;
            if attempt.is_stuck() {
                return Err(answer.err());
            }
            match self.judge(sent, answer, &attempt.claim) {
                Round::Granted(grant, sent) => return Ok(Some((grant, sent))),
                Round::AskAnew => return Err(None),
                Round::Failed(error) => return Err(Some(error)),
                Round::AskAgain => {
                    if !self.pause().await {
                        return Ok(None);
                    }
                    if !self.env().keeps(Mechanism::IdempotentClaim) {
                        attempt.claim.id = ClaimId::mint(self.env());
                    }
                }
                Round::Busy(busy) => {
                    if let Some(observer) = self.observer {
                        observer(&busy);
                    }
                    if !self.waits || !self.wait_for_news(&attempt.claim, &busy).await {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn judge(&mut self, sent: Moment, answer: Result<Standing>, claim: &Claim) -> Round {
        let standing = match answer {
            Ok(standing) => standing,
            Err(error) => return self.judge_failure(error),
        };
        self.failing_since = None;
        match standing {
            // A reply that comes after the deadline is not a lock: ask again, by the same id.
            Standing::Granted(grant) => {
                let deadline = deadline::deadline(self.env(), &*self.core.store, sent, grant.valid_for);
                let in_time = self.env().now() + validity::signal_lead(claim.ttl) < deadline
                    || !self.env().keeps(Mechanism::LateGrantRefused);
                self.late_grants += u32::from(!in_time);
                match in_time {
                    true => Round::Granted(grant, sent),
                    false if self.late_grants < LATE_GRANTS_MAX => Round::AskAgain,
                    false => Round::Failed(too_slow(claim.ttl)),
                }
            }
            Standing::Waiting(busy) | Standing::Held(busy) => Round::Busy(busy),
            Standing::Mismatch { limit } => Round::Failed(mismatch(claim.mode.limit(), limit)),
            Standing::Gone(_) => Round::AskAnew,
        }
    }

    fn judge_failure(&mut self, error: Error) -> Round {
        let now = self.env().now();
        let since = *self.failing_since.get_or_insert(now);
        self.failures += 1;
        let patient = if self.waits {
            now.since(since) < self.terms.patience
        } else {
            self.failures < TRIES_WITHOUT_WAIT
        };
        if error.is_transient() && patient { Round::AskAgain } else { Round::Failed(error) }
    }

    /// A pause before the next try; `false` when the time for waiting ends first.
    async fn pause(&mut self) -> bool {
        let dice = self.env().jitter(Duration::from_secs(1)).as_secs_f64();
        let max = (self.terms.patience / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let pause = backoff::delay(self.failures.saturating_sub(1), Duration::from_millis(10), max, dice);
        self.sleep(pause).await
    }

    async fn sleep(&mut self, span: Duration) -> bool {
        let moment = self.env().now() + span;
        match self.end {
            Some(end) if self.waits && end <= moment => {
                self.env().sleep_until(end).await;
                false
            }
            _ => {
                self.env().sleep_until(moment).await;
                true
            }
        }
    }

    /// Waits until the standing may have changed; `false` when the time for waiting is over.
    async fn wait_for_news(&mut self, claim: &Claim, busy: &Busy) -> bool {
        let now = self.env().now();
        if self.end.is_some_and(|end| end <= now) {
            return false;
        }
        let Some(wake) = &mut self.wake else {
            // Subscribe first, then ask once more, then wait: news in between is not lost.
            let subscription = self.core.store.watch(&claim.name, Interest::Turn(claim.id));
            match self.core.ask(self.terms.patience, subscription).await {
                Ok(wake) => self.wake = Some(wake),
                Err(error) => {
                    tracing::debug!(lock = %claim.name, %error, "no wake-up: asking again after a while");
                    return self.sleep(busy.recheck_in.min(Duration::from_secs(1))).await;
                }
            }
            return true;
        };
        // Those who wait for the same end do not all come back in the same instant.
        let recheck = now
            + busy.recheck_in
            + self.core.env.jitter(busy.recheck_in.min(Duration::from_millis(100)) / 10);
        let moment = match (self.end, self.core.env.keeps(Mechanism::Recheck)) {
            (Some(end), true) => end.min(recheck),
            (Some(end), false) => end,
            (None, true) => recheck,
            (None, false) => Moment::from_nanos(u64::MAX),
        };
        if let Some(Err(error)) = self.core.env.until(moment, wake.wait()).await {
            tracing::debug!(lock = %claim.name, %error, "the subscription broke: subscribing again");
            self.wake = None;
            return self.pause().await;
        }
        self.slow_down(now).await
    }

    /// Draws out waits that are none, so that a store that wakes for nothing is not asked in a loop; `false` when the
    /// time for waiting is over.
    async fn slow_down(&mut self, waited_since: Moment) -> bool {
        if let Some(pause) = self.pace.pause(&self.core.env, waited_since) {
            return self.sleep(pause).await;
        }
        self.end.is_none_or(|end| self.env().now() < end)
    }

    fn hold(&self, attempt: Attempt, grant: Grant, sent: Moment) -> Hold {
        let claim = attempt.claim.clone();
        let alive = attempt.settle();
        tracing::debug!(lock = %claim.name, mode = %claim.mode, fence = ?grant.fence,
            waited_ms = self.env().now().since(self.begin).as_millis() as u64, "granted");
        Hold::new(self.core, Granted { claim, grant, sent, alive }, self.terms)
    }
}

fn mismatch(asked: Option<u32>, stored: Option<u32>) -> Error {
    let words = |limit: Option<u32>| match limit {
        None => "a lock without permits".to_string(),
        Some(of) => format!("a semaphore of {of} permits"),
    };
    let message = format!("asked for as {}, but in use as {}", words(asked), words(stored));
    Error::new(ErrorKind::Mismatch, message).hint("let all users of the name agree, or use another name")
}

fn too_slow(ttl: Duration) -> Error {
    let message = format!("the store's answers take longer than the ttl of {ttl:?}");
    Error::new(ErrorKind::TimedOut, message).unknown().hint("raise the ttl")
}
