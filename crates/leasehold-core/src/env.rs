//! The only access to time, sleep, tasks and randomness.
//!
//! All other code uses [`Env`], so the same code runs on the machine's clock ([`Env::system`]) and under a virtual one
//! with a seed ([`Virtual`]). `clippy.toml` forbids the bypasses.

mod clock;
mod moment;
mod system;
mod timer;
#[cfg(any(test, feature = "testing"))]
mod tokio_time;
mod virtual_time;

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::BoxFuture;

pub use moment::Moment;
pub use system::background;
pub use virtual_time::Virtual;

/// A clock, timers, tasks and a source of randomness.
pub trait Environment: fmt::Debug + Send + Sync + 'static {
    /// Now, on the clock that counts suspend. No I/O.
    fn now(&self) -> Moment;

    /// The calendar's time, in microseconds since 1970. It may jump; for display and as floor of fencing tokens only.
    fn wall_us(&self) -> u64;

    /// Completes at `moment` or as soon after it as can be.
    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()>;

    /// Runs a task to its end, independently of the caller. It never blocks and never panics.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// 128 unpredictable bits.
    fn random(&self) -> u128;
}

/// A shared handle to an [`Environment`].
#[derive(Clone)]
pub struct Env(Arc<dyn Environment>);

impl Env {
    /// An environment of another implementation.
    pub fn new(environment: impl Environment) -> Env {
        Env(Arc::new(environment))
    }

    /// Completes after `span`.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep_until(self.0.now() + span)
    }

    /// Runs a task to its end in the background.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// A random number in `[0, 1)`.
    pub fn fraction(&self) -> f64 {
        f64::from(self.0.random() as u32) / (f64::from(u32::MAX) + 1.0)
    }

    /// A random duration in `[0, span)`.
    pub fn jitter(&self, span: Duration) -> Duration {
        span.mul_f64(self.fraction())
    }

    /// The output of `future`, or `None` when `moment` comes first. The future is polled before the clock is read.
    ///
    /// # Cancel safety
    /// As cancel safe as `future`, which is dropped at `moment`.
    pub async fn until<F: Future>(&self, moment: Moment, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut alarm = self.sleep_until(moment);
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            alarm.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

impl Deref for Env {
    type Target = dyn Environment;

    fn deref(&self) -> &dyn Environment {
        &*self.0
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
