//! Waiting that can be cut short, and the clock of the run.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold::env::Env;

/// Whether it is over, for those who sleep between two deeds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Pace {
    /// Sleeps so long, or until it is over; whether it goes on.
    pub(crate) fn wait(&self, span: Duration) -> bool {
        let over = self.changed.wait_timeout_while(lock(&self.over), span, |over| !*over);
        !*over.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn is_over(&self) -> bool {
        *lock(&self.over)
    }

    pub(crate) fn end(&self) {
        *lock(&self.over) = true;
        self.changed.notify_all();
    }
}

/// `CLOCK_BOOTTIME` in microseconds, which all processes of a machine share.
pub(crate) fn now_us(env: &Env) -> u64 {
    env.now().nanos() / 1000
}

/// A thread of ours that panicked has said so.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
