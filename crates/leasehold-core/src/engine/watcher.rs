//! [`LockWatcher`]: looks at a lock again whenever it has changed. No polling where the store wakes.

use std::time::Duration;

use super::{Engine, throttle::WakeThrottle};
use crate::{Error, LockName, Moment, Result, Snapshot, Wake};

/// How often to look where the store wakes nobody.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest pause between two looks that nothing but time has caused.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// A subscription to one lock that mends itself. Where the store wakes nobody, it looks once a second.
pub struct LockWatcher {
    engine: Engine,
    name: LockName,
    patience: Duration,
    wake: Option<Box<dyn Wake>>,
    pace: WakeThrottle,
}

impl LockWatcher {
    /// Follows a lock. A store that fails is asked again for `patience`. No I/O until it is asked for something.
    pub fn new(engine: &Engine, name: &LockName, patience: Duration) -> Self {
        LockWatcher {
            engine: engine.clone(),
            name: name.clone(),
            patience,
            wake: None,
            pace: WakeThrottle::default(),
        }
    }

    /// Looks until `look` finds what it looks for.
    ///
    /// # Errors
    /// Those of the store that outlasted the patience or can never pass.
    ///
    /// # Cancel safety
    /// Cancel safe: the subscription is kept, and news since then is seen by the next look.
    pub async fn until<T>(&mut self, mut look: impl FnMut(&Snapshot) -> Option<T>) -> Result<T> {
        let mut failing_since = None;
        loop {
            let snapshot = match self.look().await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.tolerate(error, &mut failing_since).await?;
                    continue;
                }
            };
            failing_since = None;
            if let Some(found) = look(&snapshot) {
                return Ok(found);
            }
            self.wait_for_news(&snapshot).await;
        }
    }

    /// Subscribes first and looks then, so that no change is missed in between.
    async fn look(&mut self) -> Result<Snapshot> {
        if self.wake.is_none() {
            self.wake = Some(self.engine.changes(&self.name).await?);
        }
        self.engine.inspect(&self.name).await
    }

    async fn tolerate(&mut self, error: Error, failing_since: &mut Option<Moment>) -> Result<()> {
        self.wake = None;
        let env = self.engine.env();
        let since = *failing_since.get_or_insert(env.now());
        if !error.is_transient() || env.now().since(since) >= self.patience {
            return Err(error);
        }
        tracing::debug!(lock = %self.name, %error, "looking again after a while");
        let pause = (self.patience / 20).clamp(PAUSE_MIN, LOOK_EVERY);
        env.sleep(pause + env.jitter(pause)).await;
        Ok(())
    }

    /// Waits for a change; for the end of a hold too, which need not wake anybody.
    async fn wait_for_news(&mut self, snapshot: &Snapshot) {
        let engine = &self.engine;
        let Some(wake) = &mut self.wake else { return };
        let since = engine.env().now();
        let ends = snapshot.holders.iter().filter_map(|holder| holder.expires_in).min();
        let look_every = (!engine.store().capability().wakes).then_some(LOOK_EVERY);
        let answer = match ends.into_iter().chain(look_every).min() {
            Some(span) => engine.env().until(engine.env().now() + span.max(PAUSE_MIN), wake.wait()).await,
            None => Some(wake.wait().await),
        };
        if let Some(Err(error)) = answer {
            tracing::debug!(lock = %self.name, %error, "the subscription broke: subscribing again");
            self.wake = None;
            engine.env().sleep(PAUSE_MIN + engine.env().jitter(PAUSE_MIN)).await;
        } else if let Some(pause) = self.pace.pause(engine.env(), since) {
            engine.env().sleep(pause).await;
        }
    }
}

impl std::fmt::Debug for LockWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockWatcher").field("name", &self.name).finish_non_exhaustive()
    }
}
