//! [`WakeThrottle`]: pauses after spurious wake-ups.

use std::time::Duration;

use crate::{Env, Moment, decide::backoff};

/// A wait shorter than this counts as spurious: the claim itself caused the wake-up, or the store named no time.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The number of consecutive short waits without a pause.
const SHORT_WAITS_MAX: u32 = 3;
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Counts consecutive spurious wake-ups.
#[derive(Default)]
pub(super) struct WakeThrottle {
    short_waits: u32,
}

impl WakeThrottle {
    /// The pause after a wait that began at `since`, before the store is asked again.
    pub(super) fn pause(&mut self, env: &Env, since: Moment) -> Option<Duration> {
        let is_short = env.now().since(since) < WAIT_MIN;
        self.short_waits = if is_short { self.short_waits.saturating_add(1) } else { 0 };
        let drawn_out = self.short_waits.checked_sub(SHORT_WAITS_MAX).filter(|beyond| *beyond > 0)?;
        Some(backoff::delay(drawn_out, WAIT_MIN, PAUSE_MAX, env.fraction()))
    }
}
