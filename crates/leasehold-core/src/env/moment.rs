//! [`Moment`]: a point in time.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A moment of `CLOCK_BOOTTIME`: nanoseconds since the machine started, suspend counted.
///
/// Rust's `Instant` is `CLOCK_MONOTONIC` on Linux and stands still during suspend, so a lease judged by it would
/// still look valid after the laptop woke up (rust-lang/rust#87906).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
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
