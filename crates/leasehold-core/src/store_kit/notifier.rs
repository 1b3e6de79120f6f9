//! [`Notifier`]: the wake-up of one waiting subscription.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::{BoxFuture, Error, Result, Wake};

/// Wakes one waiter. It keeps one unconsumed wake-up, so none is lost between two waits.
///
/// `P` is data that a store attaches to each subscription.
#[derive(Default, Debug)]
pub struct Notifier<P = ()> {
    notify: Notify,
    woken: AtomicBool,
    broken: OnceLock<Error>,
    /// The data of the store.
    pub payload: P,
}

impl<P> Notifier<P> {
    /// A notifier with the data of the store.
    pub fn new(payload: P) -> Self {
        Notifier { notify: Notify::new(), woken: AtomicBool::new(false), broken: OnceLock::new(), payload }
    }

    /// Wakes the waiter, or its next wait.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        #[cfg(test)]
        if super::schedule_point::others_first() && super::schedule_point::is_forgetful() {
            // The broken variant, for the control of those tests.
            return self.notify.notify_waiters();
        }
        self.notify.notify_one();
    }

    /// Ends the subscription: this wait and all later ones fail with the first such error.
    pub fn break_off(&self, error: Error) {
        // A second error changes nothing.
        let _ = self.broken.set(error);
        self.notify.notify_one();
    }

    /// Whether [`Notifier::break_off`] was called.
    pub fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    /// Whether it was woken since the last [`Notifier::take_woken`], also if the wake-up was consumed since.
    pub fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// The same, and resets it.
    pub fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Waits for a wake-up since the last return.
    ///
    /// # Errors
    /// The error of [`Notifier::break_off`].
    ///
    /// # Cancel safety
    /// Cancel safe: a wake-up that was not returned is returned by the next call.
    pub async fn wait(&self) -> Result<()> {
        self.check()?;
        self.notified().await;
        self.check()
    }

    /// Completes on a wake-up since the last return, whether or not it is broken.
    ///
    /// # Cancel safety
    /// As [`Notifier::wait`].
    pub async fn notified(&self) {
        self.notify.notified().await;
    }

    fn check(&self) -> Result<()> {
        self.broken.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

/// A subscription of a store without wake-ups: its wait never returns.
#[derive(Clone, Copy, Debug)]
pub struct NeverWakes;

impl Wake for NeverWakes {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::ErrorKind;

    fn poll(notifier: &Notifier) -> Poll<Result<()>> {
        pin!(notifier.wait()).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn it_keeps_one_wake_up_and_one_error() {
        let notifier = Notifier::default();
        assert!(poll(&notifier).is_pending());
        notifier.wake();
        notifier.wake();
        assert!(matches!(poll(&notifier), Poll::Ready(Ok(()))));
        assert!(poll(&notifier).is_pending());
        assert!(notifier.is_woken() && notifier.take_woken() && !notifier.take_woken());
        for kind in [ErrorKind::Unreachable, ErrorKind::Closed] {
            notifier.break_off(Error::new(kind, "x"));
        }
        for _ in 0..2 {
            let Poll::Ready(Err(error)) = poll(&notifier) else { panic!("it waits") };
            assert_eq!(error.kind(), ErrorKind::Unreachable);
        }
    }
}
