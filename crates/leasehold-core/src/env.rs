//! The only access to time, sleep, tasks and randomness.
//!
//! All other code uses [`Env`], so the same code runs on the machine's clock ([`Env::system`]) and under a virtual one
//! with a seed ([`Virtual`]). `clippy.toml` forbids the bypasses.

mod clock;
mod moment;
mod own_process;
mod platform;
mod show;
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

use crate::{BoxFuture, Result};

pub use moment::Moment;
pub(crate) use own_process::OwnProcess;
pub use platform::is_portable;
pub use show::show;
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
pub struct Env {
    environment: Arc<dyn Environment>,
    /// The process whose threads it needs.
    process: Option<OwnProcess>,
}

impl Env {
    /// An environment of another implementation.
    pub fn new(environment: impl Environment) -> Env {
        Env { environment: Arc::new(environment), process: None }
    }

    /// Fails in a child that was forked from the process of [`Env::system`]: it has the memory and the sockets of its
    /// parent, and none of its threads.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind).
    pub fn check_process(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), OwnProcess::check)
    }

    /// Completes after `span`.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + span)
    }

    /// Runs a task to its end in the background.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.environment.spawn(Box::pin(task));
    }

    /// A random number in `[0, 1)`.
    pub fn fraction(&self) -> f64 {
        f64::from(self.random() as u32) / (f64::from(u32::MAX) + 1.0)
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
        self.unless(|| self.sleep_until(moment), future).await
    }

    /// The output of `future`, or `None` when that is not there after `limit`. The clock is read only if the future is not
    /// ready at its first poll.
    ///
    /// # Cancel safety
    /// As cancel safe as `future`, which is dropped after `limit`.
    pub async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        self.unless(|| self.sleep(limit), future).await
    }

    async fn unless<F: Future>(
        &self,
        alarm: impl Fn() -> BoxFuture<'static, ()>,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut ringing = None;
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            ringing.get_or_insert_with(&alarm).as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

impl Deref for Env {
    type Target = dyn Environment;

    fn deref(&self) -> &dyn Environment {
        &*self.environment
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.environment, f)
    }
}
