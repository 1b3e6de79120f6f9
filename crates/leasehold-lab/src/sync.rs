//! [`lock`], [`sleep`], and [`StopFlag`]: a wait that another thread can end.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A flag that ends all waits when it is set.
#[derive(Debug, Default)]
pub(crate) struct StopFlag {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopFlag {
    /// Sleeps until the time is over or the flag is set; `false`: the flag is set.
    pub(crate) fn wait(&self, span: Duration) -> bool {
        let stopped = self.changed.wait_timeout_while(lock(&self.stopped), span, |stopped| !*stopped);
        !*stopped.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn is_set(&self) -> bool {
        *lock(&self.stopped)
    }

    pub(crate) fn set(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }
}

/// Locks a mutex and ignores poisoning: the panic of its thread is reported when it is joined.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pauses a thread of a real process.
pub(crate) fn sleep(span: Duration) {
    StopFlag::default().wait(span);
}
