//! [`LockWatcher`]: inspects a lock after each change; without polling where the store has wake-ups.

use std::time::Duration;

use super::{Engine, last_answer::LastAnswer, throttle::WakeThrottle};
use crate::{Error, LockName, Moment, Result, Snapshot, Wake};

/// The interval of inspections where the store has no wake-ups.
const INSPECT_EVERY: Duration = Duration::from_secs(1);
/// The shortest pause between two inspections without a wake-up.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// A subscription to one lock that is renewed when it breaks. A store without wake-ups is inspected once a second.
pub struct LockWatcher {
    engine: Engine,
    name: LockName,
    retry_timeout: Duration,
    wake: Option<Box<dyn Wake>>,
    throttle: WakeThrottle,
    seen: LastAnswer,
    asked: Option<Moment>,
}

impl LockWatcher {
    /// A watcher of a lock, without I/O yet. A store that fails is asked again for `retry_timeout`.
    pub fn new(engine: &Engine, name: &LockName, retry_timeout: Duration) -> Self {
        LockWatcher {
            engine: engine.clone(),
            name: name.clone(),
            retry_timeout,
            wake: None,
            throttle: WakeThrottle::default(),
            seen: LastAnswer::None,
            asked: None,
        }
    }

    /// The moment at which the last inspection was sent to the store; `None` before the first. The state it showed is not
    /// older than that.
    pub fn asked(&self) -> Option<Moment> {
        self.asked
    }

    /// Inspects the lock until `find` returns a value.
    ///
    /// # Errors
    /// Those of the store that outlasted the retry timeout or can never pass.
    ///
    /// # Cancel safety
    /// Cancel safe: the subscription is kept, and later changes are seen by the next call.
    pub async fn until<T>(&mut self, mut find: impl FnMut(&Snapshot) -> Option<T>) -> Result<T> {
        let mut failing_since = None;
        loop {
            let snapshot = match self.inspect().await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.tolerate(error, &mut failing_since).await?;
                    continue;
                }
            };
            failing_since = None;
            self.seen = LastAnswer::NotYet;
            if let Some(found) = find(&snapshot) {
                return Ok(found);
            }
            self.wait_for_change(&snapshot).await;
        }
    }

    /// [`LockWatcher::until`] for at most `wait`; `None` when `find` has found nothing until then.
    ///
    /// # Errors
    /// Those of the store: also the last one, when it does not answer at the end of the wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until_for<T>(
        &mut self,
        wait: Duration,
        find: impl FnMut(&Snapshot) -> Option<T>,
    ) -> Result<Option<T>> {
        let env = self.engine.env().clone();
        self.seen = LastAnswer::None;
        match env.until(env.now() + wait, self.until(find)).await {
            Some(found) => found.map(Some),
            None => self.seen.at_end(),
        }
    }

    /// Subscribes, then inspects: no change in between is missed.
    async fn inspect(&mut self) -> Result<Snapshot> {
        if self.wake.is_none() {
            self.wake = Some(self.engine.changes(&self.name).await?);
        }
        self.asked = Some(self.engine.env().now());
        self.engine.inspect(&self.name).await
    }

    async fn tolerate(&mut self, error: Error, failing_since: &mut Option<Moment>) -> Result<()> {
        self.wake = None;
        let env = self.engine.env();
        let since = *failing_since.get_or_insert(env.now());
        if !error.is_transient() || env.now().since(since) >= self.retry_timeout {
            return Err(error);
        }
        tracing::debug!(lock = %self.name, %error, "inspected again after a pause");
        self.seen = LastAnswer::Failed(error);
        let pause = (self.retry_timeout / 20).clamp(PAUSE_MIN, INSPECT_EVERY);
        env.sleep(pause + env.jitter(pause)).await;
        Ok(())
    }

    /// Waits for a change, or for the end of a hold, which not every store announces.
    async fn wait_for_change(&mut self, snapshot: &Snapshot) {
        let engine = &self.engine;
        let Some(wake) = &mut self.wake else { return };
        let since = engine.env().now();
        let ends = snapshot.holders.iter().filter_map(|holder| holder.expires_in).min();
        let inspect_every = (!engine.store().capability().wakes).then_some(INSPECT_EVERY);
        let answer = match ends.into_iter().chain(inspect_every).min() {
            Some(span) => engine.env().until(engine.env().now() + span.max(PAUSE_MIN), wake.wait()).await,
            None => Some(wake.wait().await),
        };
        if let Some(Err(error)) = answer {
            tracing::debug!(lock = %self.name, %error, "the subscription broke: subscribing again");
            self.wake = None;
            engine.env().sleep(PAUSE_MIN + engine.env().jitter(PAUSE_MIN)).await;
        } else if let Some(pause) = self.throttle.pause(engine.env(), since) {
            engine.env().sleep(pause).await;
        }
    }
}

impl std::fmt::Debug for LockWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockWatcher").field("name", &self.name).finish_non_exhaustive()
    }
}
