//! [`WakeThrottle`]: pauses after spurious wake-ups.

use std::time::Duration;

use crate::{Env, Moment, decide::backoff};

/// A wait shorter than this counts as spurious: the claim itself caused the wake-up, or the store named no time.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The number of consecutive short waits without a pause.
const SHORT_WAITS_MAX: u32 = 3;
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The number at which counting ends: its pause is the longest, and so many times [`WAIT_MIN`] forget it all.
const COUNT_MAX: u32 = SHORT_WAITS_MAX + 10;

/// Counts spurious wake-ups. A longer wait takes back as many as it has times of [`WAIT_MIN`], not all: in a flood, some waits are
/// long because the machine is busy.
#[derive(Default)]
pub(super) struct WakeThrottle {
    short_waits: u32,
}

impl WakeThrottle {
    /// The pause after a wait that began at `since`, before the store is asked again.
    pub(super) fn pause(&mut self, env: &Env, since: Moment) -> Option<Duration> {
        let waited = env.now().since(since).as_millis() / WAIT_MIN.as_millis();
        self.short_waits = match u32::try_from(waited) {
            Ok(0) => (self.short_waits + 1).min(COUNT_MAX),
            Ok(waited) => self.short_waits.saturating_sub(waited),
            Err(_) => 0,
        };
        let drawn_out = self.short_waits.checked_sub(SHORT_WAITS_MAX).filter(|beyond| *beyond > 0)?;
        Some(backoff::delay(drawn_out, WAIT_MIN, PAUSE_MAX, env.fraction()))
    }
}
