//! The only place of this crate that reads a clock or sleeps: the servers live in real time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

const PAUSE: Duration = Duration::from_millis(5);

/// Polls a condition every few milliseconds; whether it held within the limit.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = now() + limit;
    loop {
        if condition() {
            return true;
        }
        if now() >= end {
            return false;
        }
        pause();
    }
}

/// Tries until it succeeds, every few milliseconds.
pub fn attempt<T>(limit: Duration, mut action: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = Err(Error("never tried".into()));
    until(limit, || {
        last = action();
        last.is_ok()
    });
    last
}

#[expect(
    clippy::disallowed_methods,
    reason = "real servers live in real time; nothing here decides about a lease"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "other processes raise no event that could be awaited")]
fn pause() {
    thread::sleep(PAUSE);
}

/// A panic of another test thread does not make the value unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
