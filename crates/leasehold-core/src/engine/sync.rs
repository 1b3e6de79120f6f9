//! Where the callers' threads and the watchdog meet: a mutex and a bell.
//!
//! They are the standard ones. In the tests of `engine/tests/handover.rs`, which go through the orders in which threads
//! can arrive here, each lets the others go first if the scheduler says so.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A mutex. A panic under it breaks nothing: what it guards is whole between any two statements.
#[derive(Default)]
pub(super) struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    #[cfg(not(test))]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        while super::tests::handover::others_first() {
            // All threads of such a test are one: it must not block.
            if let Ok(guard) = self.0.try_lock() {
                return guard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bell for one listener. It remembers one ring while nobody listens.
#[derive(Default)]
pub(super) struct Notifier(Notify);

impl Notifier {
    pub(super) fn ring(&self) {
        #[cfg(test)]
        if super::tests::handover::others_first() && super::tests::handover::is_forgetful() {
            // The broken variant, for the control of those tests.
            return self.0.notify_waiters();
        }
        self.0.notify_one();
    }

    /// Completes when it rings, or has rung.
    pub(super) async fn rung(&self) {
        self.0.notified().await;
    }
}
