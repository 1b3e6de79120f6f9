//! [`Patience`]: how long a claim tolerates the failures of its store.

use std::time::Duration;

use crate::Moment;

/// How many times a claim that does not wait is sent when the store fails.
const TRIES_WITHOUT_WAIT: u32 = 3;

/// The failures of one claim.
#[derive(Default)]
pub(super) struct Patience {
    /// Until when a wait tolerates failures; `None` after an answer.
    until: Option<Moment>,
    pub(super) failures: u32,
}

impl Patience {
    /// Counts an answer of the store.
    pub(super) fn answered(&mut self) {
        self.until = None;
    }

    /// Counts a failure; whether the claim is to be repeated.
    pub(super) fn tolerates(&mut self, now: Moment, timeout: Duration, waits: bool) -> bool {
        self.failures += 1;
        if !waits {
            return self.failures < TRIES_WITHOUT_WAIT;
        }
        now < *self.until.get_or_insert(now + timeout)
    }
}
