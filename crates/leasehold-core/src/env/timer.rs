//! Timers on the clock that counts suspend.
//!
//! tokio's own timers run on `CLOCK_MONOTONIC` and in whole milliseconds: after a suspend they would fire late by as
//! long as the machine slept. Here one alarm serves every sleeper of a process: a `timerfd` on `CLOCK_BOOTTIME`,
//! read by a thread that does nothing else.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::Moment;

/// The machine's alarm. A virtual world has none.
pub(super) trait Alarm: Send + Sync {
    /// Rings at `moment` instead of any moment set before; never, for `None`.
    fn set(&self, moment: Option<Moment>);
}

/// The sleepers, by time and then by order of arrival.
#[derive(Default)]
pub(super) struct Timers {
    sleepers: Mutex<Sleepers>,
    alarm: Option<Box<dyn Alarm>>,
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
    /// Timers whose alarm rings by itself.
    pub(super) fn with_alarm(alarm: Box<dyn Alarm>) -> Self {
        Timers { sleepers: Mutex::default(), alarm: Some(alarm) }
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next sleeper is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.lock().next_due()
    }

    /// Whether a sleeper wakes this waker.
    pub(super) fn wakes(&self, waker: &Waker) -> bool {
        self.lock().queue.values().any(|other| other.will_wake(waker))
    }

    /// Wakes all sleepers that are due at `now`, and sets the alarm for the next.
    pub(super) fn fire(&self, now: Moment) {
        let due = {
            let mut sleepers = self.lock();
            let later = sleepers.queue.split_off(&(Moment::from_nanos(now.nanos() + 1), 0));
            let due = std::mem::replace(&mut sleepers.queue, later);
            self.set_alarm(&mut sleepers);
            due
        };
        due.into_values().for_each(Waker::wake);
    }

    fn put(&self, moment: Moment, arrival: Option<u64>, waker: &Waker) -> u64 {
        let mut sleepers = self.lock();
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
            self.timers.lock().queue.remove(&(self.moment, arrival));
        }
    }
}

/// The alarm of the machine and the wait for it to ring.
#[cfg(target_os = "linux")]
pub(super) mod machine {
    use std::{io, os::fd::OwnedFd, sync::Arc};

    use rustix::{
        io::Errno,
        time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        },
    };

    use super::{Alarm, Moment};

    pub(in super::super) struct MachineAlarm(Arc<OwnedFd>);

    /// An alarm, and a function that returns whenever it rings.
    pub(in super::super) fn alarm() -> io::Result<(MachineAlarm, impl Fn() -> io::Result<()> + Send)> {
        let timer = Arc::new(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?);
        let notifier = timer.clone();
        let wait = move || match rustix::io::read(&*notifier, &mut [0u8; 8]) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
        Ok((MachineAlarm(timer), wait))
    }

    impl Alarm for MachineAlarm {
        fn set(&self, moment: Option<Moment>) {
            // Zero disarms; a moment in the past rings at once.
            let due = moment.map_or(0, |moment| moment.nanos().max(1));
            let it_value =
                Timespec { tv_sec: (due / 1_000_000_000) as i64, tv_nsec: (due % 1_000_000_000) as i64 };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval, it_value };
            if let Err(error) = timerfd_settime(&*self.0, TimerfdTimerFlags::ABSTIME, &spec) {
                tracing::error!(%error, "an alarm cannot be set: leases end by their deadlines");
            }
        }
    }
}

/// Without `timerfd`: the clock is read at least four times a second, which bounds the delay after a suspend.
#[cfg(not(target_os = "linux"))]
pub(super) mod machine {
    use std::{
        io,
        sync::{Arc, Condvar, Mutex, PoisonError},
        time::Duration,
    };

    use super::{Alarm, Moment};

    const SLICE: Duration = Duration::from_millis(250);

    #[derive(Default)]
    struct Notifier {
        due: Mutex<Option<Moment>>,
        earlier: Condvar,
    }

    pub(in super::super) struct MachineAlarm(Arc<Notifier>);

    /// An alarm, and a function that returns whenever it rings, or a little later.
    pub(in super::super) fn alarm() -> io::Result<(MachineAlarm, impl Fn() -> io::Result<()> + Send)> {
        let notifier = Arc::new(Notifier::default());
        let alarm = MachineAlarm(notifier.clone());
        let wait = move || {
            let due = notifier.due.lock().unwrap_or_else(PoisonError::into_inner);
            let span = due.map_or(SLICE, |moment| moment.since(super::super::clock::now()).min(SLICE));
            drop(notifier.earlier.wait_timeout(due, span));
            Ok(())
        };
        Ok((alarm, wait))
    }

    impl Alarm for MachineAlarm {
        fn set(&self, moment: Option<Moment>) {
            *self.0.due.lock().unwrap_or_else(PoisonError::into_inner) = moment;
            self.0.earlier.notify_one();
        }
    }
}
