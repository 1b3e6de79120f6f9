//! The only access to time, sleep, tasks and randomness.
//!
//! All other code uses [`Env`], so the same code runs on the machine's clock ([`Env::system`]) and under a virtual one
//! with a seed ([`Virtual`]). `clippy.toml` forbids the bypasses.

mod clock;
mod system;
mod timer;
#[cfg(any(test, feature = "testing"))]
mod tokio_time;
mod virtual_time;

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::{Add, Sub},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::BoxFuture;

pub use system::background;
pub use virtual_time::Virtual;

/// A moment of `CLOCK_BOOTTIME`: nanoseconds since the machine started, suspend counted.
///
/// Rust's `Instant` is `CLOCK_MONOTONIC` on Linux and stands still during suspend, so a lease judged by it would
/// still look valid after the laptop woke up (rust-lang/rust#87906).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment(u64);

impl Moment {
    /// The moment this many nanoseconds after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Moment(nanos)
    }

    /// Nanoseconds since the start of the clock.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

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
    /// The machine's environment: `CLOCK_BOOTTIME`, and two background threads per process, one for timers and one for
    /// tasks. Renewal goes on while the user's runtime is blocked, and guards may be dropped outside of any runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](crate::ErrorKind) when the thread cannot be started.
    pub fn system() -> crate::Result<Env> {
        system::System::shared().map(|(env, _)| env)
    }

    /// An environment of another implementation.
    pub fn new(environment: impl Environment) -> Env {
        Env(Arc::new(environment))
    }

    /// Now, on the clock that counts suspend.
    pub fn now(&self) -> Moment {
        self.0.now()
    }

    /// The calendar's time in microseconds since 1970.
    pub fn wall_us(&self) -> u64 {
        self.0.wall_us()
    }

    /// Completes at `moment`.
    pub fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        self.0.sleep_until(moment)
    }

    /// Completes after `span`.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep_until(self.0.now() + span)
    }

    /// Runs a task to its end in the background.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// 128 unpredictable bits.
    pub fn random(&self) -> u128 {
        self.0.random()
    }

    /// A random duration in `[0, span)`.
    pub fn jitter(&self, span: Duration) -> Duration {
        let fraction = (self.0.random() as u32) as f64 / (f64::from(u32::MAX) + 1.0);
        span.mul_f64(fraction)
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

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
