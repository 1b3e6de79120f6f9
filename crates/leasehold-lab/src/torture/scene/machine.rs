//! [`Machine`]: a server that can be stopped and killed.

use std::time::Duration;

use leasehold_testkit::{Result, etcd, memcached, redis, zookeeper};

use crate::torture::{failure, nemesis::Strike};

/// What every kind of server can be made to do.
pub(super) trait Machine: Sync {
    fn pause(&self) -> Result<()>;
    fn resume(&self) -> Result<()>;
    fn kill(&self);
    fn restart(&self) -> Result<()>;
}

macro_rules! machine {
    ($($type:ty),*) => {
        $(impl Machine for $type {
            fn pause(&self) -> Result<()> {
                self.pause()
            }

            fn resume(&self) -> Result<()> {
                self.resume()
            }

            fn kill(&self) {
                self.kill();
            }

            fn restart(&self) -> Result<()> {
                self.restart()
            }
        })*
    };
}

machine!(redis::Server, memcached::Server, zookeeper::Server, etcd::Member);

/// SIGSTOP, and SIGCONT at the end.
pub(super) fn paused<'s>(
    machine: &'s dyn Machine,
    target: String,
    lasts: Duration,
) -> failure::Result<Strike<'s>> {
    machine.pause()?;
    Ok(Strike { name: "server paused", target, lasts, heal: Box::new(|| Ok(machine.resume()?)) })
}

/// SIGKILL, and a new start at the end, with what it has on its disk.
pub(super) fn killed<'s>(machine: &'s dyn Machine, target: String, lasts: Duration) -> Strike<'s> {
    machine.kill();
    Strike { name: "server killed", target, lasts, heal: Box::new(|| Ok(machine.restart()?)) }
}
