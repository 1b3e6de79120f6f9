//! The alarm and the randomness of the machine: Linux's own, and the portable twin for other systems.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

use std::io;

use super::moment::Moment;

#[cfg(target_os = "linux")]
pub(super) use linux::{CLOCK, random};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{CLOCK, random};

/// The alarm of the machine.
pub(super) enum Alarm {
    #[cfg(target_os = "linux")]
    Linux(linux::Alarm),
    Portable(portable::Alarm),
}

/// Whether the portable twin takes the place of Linux's own: on other systems, and in tests of the twin.
pub fn is_portable() -> bool {
    !cfg!(target_os = "linux")
        || cfg!(feature = "portable-twin")
            && std::env::var("LEASEHOLD_PLATFORM").is_ok_and(|name| name == "portable")
}

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        #[cfg(target_os = "linux")]
        if !is_portable() {
            return linux::Alarm::new().map(Alarm::Linux);
        }
        Ok(Alarm::Portable(portable::Alarm::default()))
    }

    /// Returns when it rings, or a little later.
    pub(super) fn wait(&self, now: Moment) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Alarm::Linux(alarm) => alarm.wait(),
            Alarm::Portable(alarm) => {
                alarm.wait(now);
                Ok(())
            }
        }
    }

    /// Rings at `moment` instead of any moment set before; never, for `None`.
    pub(super) fn set(&self, moment: Option<Moment>) {
        match self {
            #[cfg(target_os = "linux")]
            Alarm::Linux(alarm) => alarm.set(moment),
            Alarm::Portable(alarm) => alarm.set(moment),
        }
    }
}
