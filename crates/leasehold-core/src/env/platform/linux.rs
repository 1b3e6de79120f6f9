//! A timer of the kernel on the clock that counts suspend, and the kernel's randomness.

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
    time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use crate::env::Moment;

/// The clock that counts suspend.
pub(in crate::env) const CLOCK: ClockId = ClockId::Boottime;

/// Fills a part of the bytes at least.
#[expect(clippy::disallowed_methods, reason = "this is the implementation of Env::random")]
pub(in crate::env) fn random(bytes: &mut [u8]) -> io::Result<usize> {
    Ok(getrandom(bytes, GetRandomFlags::empty())?)
}

pub(in crate::env) struct Alarm(OwnedFd);

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        Ok(Alarm(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?))
    }

    pub(super) fn wait(&self) -> io::Result<()> {
        match rustix::io::read(&self.0, &mut [0u8; 8]) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

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
