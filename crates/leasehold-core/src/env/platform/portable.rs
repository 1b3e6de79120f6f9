//! A timer that reads the clock at least four times a second, which bounds the delay after a suspend.

use std::{sync::Condvar, time::Duration};

use crate::{env::Moment, store_kit::Locked};

const SLICE: Duration = Duration::from_millis(250);

/// The monotonic clock: some systems stop it in suspend (SAFETY.md).
#[cfg(not(target_os = "linux"))]
pub(in crate::env) const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// Fills a part of the bytes at least.
#[cfg(not(target_os = "linux"))]
pub(in crate::env) fn random(bytes: &mut [u8]) -> std::io::Result<usize> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read(bytes)
}

#[derive(Default)]
pub(in crate::env) struct Alarm {
    due: Locked<Option<Moment>>,
    earlier: Condvar,
}

impl Alarm {
    pub(super) fn wait(&self, now: Moment) {
        let due = self.due.lock();
        let span = due.map_or(SLICE, |moment| moment.since(now).min(SLICE));
        drop(self.earlier.wait_timeout(due, span));
    }

    pub(super) fn set(&self, moment: Option<Moment>) {
        *self.due.lock() = moment;
        self.earlier.notify_one();
    }
}
