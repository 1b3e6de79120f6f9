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

use super::{moment::Moment, platform::Alarm};
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
    /// Its place in the queue, and the waker that it has there.
    pub(super) queued: Option<(u64, Waker)>,
    pub(super) now: Now,
}

impl<Now: Fn() -> Moment + Unpin> Future for Sleep<Now> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if (self.now)() >= self.moment {
            return Poll::Ready(());
        }
        if self.queued.as_ref().is_some_and(|(_, waker)| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        let arrival = self.queued.as_ref().map(|(arrival, _)| *arrival);
        let arrival = self.timers.put(self.moment, arrival, context.waker());
        self.queued = Some((arrival, context.waker().clone()));
        Poll::Pending
    }
}

impl<Now> Drop for Sleep<Now> {
    fn drop(&mut self) {
        if let Some((arrival, _)) = self.queued {
            self.timers.sleepers.lock().queue.remove(&(self.moment, arrival));
        }
    }
}
