//! Timers on the clock that counts suspend.
//!
//! tokio's own timers run on `CLOCK_MONOTONIC` and in whole milliseconds: after a suspend they would fire late by as
//! long as the machine slept. Here one alarm serves every sleeper of a process: a `timerfd` on `CLOCK_BOOTTIME`,
//! read by a thread that does nothing else.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub(super) use machine::Alarm;

use super::moment::Moment;
use crate::store_kit::Locked;

/// The sleepers, by time and then by order of arrival.
#[derive(Default)]
pub(super) struct Timers {
    sleepers: Locked<Sleepers>,
    /// That of the machine. A virtual world has none.
    alarm: Option<Arc<Alarm>>,
}

#[derive(Default)]
struct Sleepers {
    queue: BTreeMap<(Moment, u64), Waker>,
    arrivals: u64,
    /// The moment that the alarm is set to, never later than the first sleeper. It stays when that one leaves, and then
    /// rings once for nothing: many short waits in turn, each with a limit, do not set it each time.
    alarm_at: Option<Moment>,
}

impl Sleepers {
    fn next_due(&self) -> Option<Moment> {
        self.queue.keys().next().map(|(moment, _)| *moment)
    }
}

impl Timers {
    pub(super) fn with_alarm(alarm: Arc<Alarm>) -> Self {
        Timers { alarm: Some(alarm), ..Timers::default() }
    }

    /// When the next sleeper is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.sleepers.lock().next_due()
    }

    /// Whether a sleeper wakes this waker.
    pub(super) fn wakes(&self, waker: &Waker) -> bool {
        self.sleepers.lock().queue.values().any(|other| other.will_wake(waker))
    }

    /// Wakes all sleepers that are due at `now`, and sets the alarm for the next.
    pub(super) fn fire(&self, now: Moment) {
        let due = {
            let mut sleepers = self.sleepers.lock();
            let later = sleepers.queue.split_off(&(Moment::from_nanos(now.nanos() + 1), 0));
            let due = std::mem::replace(&mut sleepers.queue, later);
            self.set_alarm(&mut sleepers);
            due
        };
        due.into_values().for_each(Waker::wake);
    }

    fn put(&self, moment: Moment, arrival: Option<u64>, waker: &Waker) -> u64 {
        let mut sleepers = self.sleepers.lock();
        let arrival = arrival.unwrap_or_else(|| {
            sleepers.arrivals += 1;
            sleepers.arrivals
        });
        sleepers.queue.insert((moment, arrival), waker.clone());
        if sleepers.alarm_at.is_none_or(|at| moment < at) {
            self.set_alarm(&mut sleepers);
        }
        arrival
    }

    /// Under the lock, so that an earlier setting never replaces a later one.
    fn set_alarm(&self, sleepers: &mut Sleepers) {
        sleepers.alarm_at = sleepers.next_due();
        if let Some(alarm) = &self.alarm {
            alarm.set(sleepers.alarm_at);
        }
    }
}

/// A future that completes at a moment.
pub(super) struct Sleep<Now> {
    pub(super) timers: Arc<Timers>,
    pub(super) moment: Moment,
    pub(super) arrival: Option<u64>,
    pub(super) now: Now,
}

impl<Now: Fn() -> Moment + Unpin> Future for Sleep<Now> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if (self.now)() >= self.moment {
            return Poll::Ready(());
        }
        let arrival = self.timers.put(self.moment, self.arrival, context.waker());
        self.arrival = Some(arrival);
        Poll::Pending
    }
}

impl<Now> Drop for Sleep<Now> {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival {
            self.timers.sleepers.lock().queue.remove(&(self.moment, arrival));
        }
    }
}

/// The alarm of the machine: a timer of the kernel.
#[cfg(target_os = "linux")]
mod machine {
    use std::{io, os::fd::OwnedFd};

    use rustix::{
        io::Errno,
        time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        },
    };

    use super::Moment;

    pub(in super::super) struct Alarm(OwnedFd);

    impl Alarm {
        pub(in super::super) fn new() -> io::Result<Alarm> {
            Ok(Alarm(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?))
        }

        /// Returns whenever it rings.
        pub(in super::super) fn wait(&self) -> io::Result<()> {
            match rustix::io::read(&self.0, &mut [0u8; 8]) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        }

        /// Rings at `moment` instead of any moment set before; never, for `None`.
        pub(super) fn set(&self, moment: Option<Moment>) {
            // Zero disarms; a moment in the past rings at once.
            let due = moment.map_or(0, |moment| moment.nanos().max(1));
            let it_value =
                Timespec { tv_sec: (due / 1_000_000_000) as i64, tv_nsec: (due % 1_000_000_000) as i64 };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval, it_value };
            if let Err(error) = timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &spec) {
                tracing::error!(%error, "an alarm cannot be set: leases end by their deadlines");
            }
        }
    }
}

/// Without `timerfd`: the clock is read at least four times a second, which bounds the delay after a suspend.
#[cfg(not(target_os = "linux"))]
mod machine {
    use std::{io, sync::Condvar, time::Duration};

    use super::{Locked, Moment};

    const SLICE: Duration = Duration::from_millis(250);

    #[derive(Default)]
    pub(in super::super) struct Alarm {
        due: Locked<Option<Moment>>,
        earlier: Condvar,
    }

    impl Alarm {
        pub(in super::super) fn new() -> io::Result<Alarm> {
            Ok(Alarm::default())
        }

        /// Returns when it rings, or a little later.
        pub(in super::super) fn wait(&self) -> io::Result<()> {
            let due = self.due.lock();
            let span = due.map_or(SLICE, |moment| moment.since(super::super::clock::now()).min(SLICE));
            drop(self.earlier.wait_timeout(due, span));
            Ok(())
        }

        /// Rings at `moment` instead of any moment set before; never, for `None`.
        pub(super) fn set(&self, moment: Option<Moment>) {
            *self.due.lock() = moment;
            self.earlier.notify_one();
        }
    }
}
