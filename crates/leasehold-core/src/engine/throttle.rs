//! [`WakeThrottle`]: a store that wakes for nothing is not asked in a loop.

use std::time::Duration;

use crate::{Env, Moment, decide::backoff};

/// A wait shorter than this was none: the store woke us by our own question, or named no time.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// So many waits in a row may be that short; those after them are drawn out.
const SHORT_WAITS_MAX: u32 = 3;
/// A wait is drawn out to at most this.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Counts the waits that were none.
#[derive(Default)]
pub(super) struct WakeThrottle {
    short_waits: u32,
}

impl WakeThrottle {
    /// After a wait that began at `since`: how long to pause before the store is asked again, if at all.
    pub(super) fn pause(&mut self, env: &Env, since: Moment) -> Option<Duration> {
        let is_short = env.now().since(since) < WAIT_MIN;
        self.short_waits = if is_short { self.short_waits.saturating_add(1) } else { 0 };
        let drawn_out = self.short_waits.checked_sub(SHORT_WAITS_MAX).filter(|beyond| *beyond > 0)?;
        let dice = env.jitter(Duration::from_secs(1)).as_secs_f64();
        Some(backoff::delay(drawn_out, WAIT_MIN, PAUSE_MAX, dice))
    }
}
