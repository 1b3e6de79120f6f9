//! The acquire loop: claim, subscribe, claim again, wait.

use std::{sync::Arc, time::Duration};

use super::{
    Core, Engine, Hold, LockOptions,
    attempt::Attempt,
    deadline,
    hold::Granted,
    local_queue::LocalPermit,
    telemetry::{self, Ending},
    throttle::WakeThrottle,
    wait::{Observer, Wait},
};
use crate::{
    Busy, Claim, ClaimId, Env, Error, ErrorKind, Grant, Interest, LockName, Mode, Moment, Result, Standing,
    Wake,
    decide::{backoff, validity},
};

/// How many times a claim that does not wait is sent when the store fails.
const TRIES_WITHOUT_WAIT: u32 = 3;
/// How many grants may arrive after their deadline before the claim fails.
const LATE_GRANTS_MAX: u32 = 3;

impl Engine {
    /// Asks for a lock; `None` when it was taken for as long as `wait` allows.
    ///
    /// A store that fails is asked again: while waiting, until it has failed for `terms.retry_timeout`; without waiting,
    /// three times.
    ///
    /// # Errors
    /// Those of [`Engine::admits`], and those of the store that outlasted the retry timeout or can never pass.
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
        let claim = self.template(name, mode, terms, wait, ClaimId::mint(&self.0.env));
        self.check(&claim, terms)?;
        let begin = self.0.env.now();
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
            throttle: WakeThrottle::default(),
            wake: None,
        };
        let result = acquire.run(claim).await;
        telemetry::acquired(&self.0, mode, begin, acquire.failures, ending(&result, wait));
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
    throttle: WakeThrottle,
    wake: Option<Box<dyn Wake>>,
}

/// The result of one request.
enum Step {
    Granted { grant: Grant, sent: Moment, deadline: Moment },
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
        let Some(_permit) = self.local_permit(&claim.name).await else { return Ok(None) };
        loop {
            let mut attempt = Attempt::new(self.core, claim.clone())?;
            match self.poll_until_granted(&mut attempt).await {
                Ok(Some(granted)) => return Ok(Some(self.hold(attempt, granted))),
                Ok(None) => {
                    attempt.give_up(self.terms.retry_timeout).await;
                    return Ok(None);
                }
                // The claim was removed from the store by force: its id is spent.
                Err(None) => claim.id = ClaimId::mint(self.env()),
                Err(Some(error)) => {
                    attempt.give_up(self.terms.retry_timeout).await;
                    return Err(error);
                }
            }
        }
    }

    /// Waits for the other tasks of this client. A claim that does not wait, or that queues in order, asks the store
    /// directly.
    async fn local_permit(&mut self, name: &LockName) -> Option<Option<LocalPermit>> {
        if !self.waits || self.terms.fair {
            return Some(None);
        }
        let permit = self.core.local.enter(name);
        match self.end {
            None => Some(Some(permit.await)),
            Some(end) => self.env().until(end, permit).await.map(Some),
        }
    }

    /// Repeats the claim until it is granted, the wait is over (`None`), or an error is final. `Err(None)`: the claim was
    /// removed from the store.
    async fn poll_until_granted(&mut self, attempt: &mut Attempt) -> Result<Option<Granted>, Option<Error>> {
        loop {
            let (sent, answer) = attempt.ask(self.terms.retry_timeout).await;
            if attempt.is_stuck() {
                return Err(answer.err());
            }
            match self.classify(sent, answer, &attempt.claim) {
                Step::Granted { grant, sent, deadline } => {
                    let claim = attempt.claim.clone();
                    return Ok(Some(Granted { claim, grant, sent, deadline, alive: None }));
                }
                Step::AskAnew => return Err(None),
                Step::Failed(error) => return Err(Some(error)),
                Step::AskAgain => {
                    if !self.pause().await {
                        return Ok(None);
                    }
                }
                Step::Busy(busy) => {
                    if let Some(observer) = self.observer {
                        observer(&busy);
                    }
                    if !self.waits || !self.wait_for_wake(&attempt.claim, &busy).await {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn classify(&mut self, sent: Moment, answer: Result<Standing>, claim: &Claim) -> Step {
        let standing = match answer {
            Ok(standing) => standing,
            Err(error) => return self.classify_failure(error),
        };
        self.failing_since = None;
        match standing {
            // A reply after the deadline is not a lock: repeat, with the same id.
            Standing::Granted(grant) => {
                let deadline = deadline::deadline(&*self.core.store, sent, grant.valid_for);
                let in_time = self.env().now() + validity::signal_lead(claim.ttl) < deadline;
                self.late_grants += u32::from(!in_time);
                match in_time {
                    true => Step::Granted { grant, sent, deadline },
                    false if self.late_grants < LATE_GRANTS_MAX => Step::AskAgain,
                    false => Step::Failed(too_slow(claim.ttl)),
                }
            }
            Standing::Waiting(busy) | Standing::Held(busy) => Step::Busy(busy),
            Standing::Mismatch { limit } => Step::Failed(mismatch(claim.mode.limit(), limit)),
            Standing::Gone(_) => Step::AskAnew,
        }
    }

    fn classify_failure(&mut self, error: Error) -> Step {
        let now = self.env().now();
        let since = *self.failing_since.get_or_insert(now);
        self.failures += 1;
        let patient = if self.waits {
            now.since(since) < self.terms.retry_timeout
        } else {
            self.failures < TRIES_WITHOUT_WAIT
        };
        if error.is_transient() && patient { Step::AskAgain } else { Step::Failed(error) }
    }

    /// Pauses before the next attempt; `false` when the wait is over first.
    async fn pause(&mut self) -> bool {
        let fraction = self.env().jitter(Duration::from_secs(1)).as_secs_f64();
        let max = (self.terms.retry_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let pause = backoff::delay(self.failures.saturating_sub(1), Duration::from_millis(10), max, fraction);
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

    /// Waits until the standing may have changed; `false` when the wait is over.
    async fn wait_for_wake(&mut self, claim: &Claim, busy: &Busy) -> bool {
        let now = self.env().now();
        if self.end.is_some_and(|end| end <= now) {
            return false;
        }
        let Some(wake) = &mut self.wake else {
            // Subscribe, claim again, then wait: no wake-up in between is lost.
            let subscription = self.core.store.watch(&claim.name, Interest::Turn(claim.id));
            match self.core.ask(self.terms.retry_timeout, subscription).await {
                Ok(wake) => self.wake = Some(wake),
                Err(error) => {
                    tracing::debug!(lock = %claim.name, %error, "no wake-up: the claim is repeated after a pause");
                    return self.sleep(busy.recheck_in.min(Duration::from_secs(1))).await;
                }
            }
            return true;
        };
        // Waiters for the same end do not all return in the same instant.
        let recheck = now
            + busy.recheck_in
            + self.core.env.jitter(busy.recheck_in.min(Duration::from_millis(100)) / 10);
        let moment = self.end.map_or(recheck, |end| end.min(recheck));
        if let Some(Err(error)) = self.core.env.until(moment, wake.wait()).await {
            tracing::debug!(lock = %claim.name, %error, "the subscription broke: subscribing again");
            self.wake = None;
            return self.pause().await;
        }
        self.slow_down(now).await
    }

    /// Pauses after spurious wake-ups, so that the store is not asked in a loop; `false` when the wait is over.
    async fn slow_down(&mut self, waited_since: Moment) -> bool {
        if let Some(pause) = self.throttle.pause(&self.core.env, waited_since) {
            return self.sleep(pause).await;
        }
        self.end.is_none_or(|end| self.env().now() < end)
    }

    fn hold(&self, attempt: Attempt, granted: Granted) -> Hold {
        tracing::debug!(lock = %attempt.claim.name, mode = %attempt.claim.mode, fence = ?granted.grant.fence,
            waited_ms = self.env().now().since(self.begin).as_millis() as u64, "granted");
        let alive = attempt.disarm();
        Hold::new(self.core, Granted { alive, ..granted }, self.terms)
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

fn ending(result: &Result<Option<Hold>>, wait: Wait) -> Ending {
    match result {
        Ok(Some(_)) => Ending::Acquired,
        Ok(None) if wait == Wait::No => Ending::Busy,
        Ok(None) => Ending::TimedOut,
        Err(_) => Ending::Failed,
    }
}
