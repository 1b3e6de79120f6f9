//! [`Patience`]: how long a claim tolerates the failures of its store.

use std::time::Duration;

use crate::{Error, Moment, env::show};

/// How many times a claim that does not wait is sent when the store fails.
const TRIES_WITHOUT_WAIT: u32 = 3;

/// The failures of one claim.
#[derive(Default)]
pub(super) struct Patience {
    /// Until when a wait tolerates failures; `None` after an answer.
    until: Option<Moment>,
    /// Whether a failure that passes by itself was waited for: once, so that a store that always says so ends the wait.
    was_passing: bool,
    pub(super) failures: u32,
}

impl Patience {
    /// Counts an answer of the store.
    pub(super) fn answered(&mut self) {
        self.until = None;
    }

    /// Counts a failure; whether the claim is to be repeated.
    pub(super) fn tolerates(&mut self, error: &Error, now: Moment, timeout: Duration, waits: bool) -> bool {
        self.failures += 1;
        if !waits {
            return self.failures < TRIES_WITHOUT_WAIT;
        }
        let until = self.until.get_or_insert(now + timeout);
        if let Some(passes_in) = error.passes_in().filter(|_| !self.was_passing) {
            self.was_passing = true;
            *until = (*until).max(now + passes_in + timeout);
            tracing::warn!(
                "{error}: waiting for {}; {}",
                show(passes_in),
                error.hint_text().unwrap_or_default()
            );
        }
        now < *until
    }
}
