//! Pauses and kills of server processes.

use std::time::Duration;

use leasehold_testkit::{Result, etcd, memcached, redis, zookeeper};

use crate::real_world::model::ActiveFault;

/// A server process that can be paused and killed.
pub(super) trait ServerProcess: Sync {
    fn pause(&self) -> Result<()>;
    fn resume(&self) -> Result<()>;
    fn kill(&self);
    fn restart(&self) -> Result<()>;
}

macro_rules! server_process {
    ($($type:ty),*) => {
        $(impl ServerProcess for $type {
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

server_process!(redis::Server, memcached::Server, zookeeper::Server, etcd::Member);

/// SIGSTOP, and SIGCONT at the end.
pub(super) fn pause(
    server: &dyn ServerProcess,
    target: String,
    lasts: Duration,
) -> anyhow::Result<ActiveFault<'_>> {
    server.pause()?;
    Ok(ActiveFault { name: "server paused", target, lasts, heal: Box::new(|| Ok(server.resume()?)) })
}

/// SIGKILL, and a restart at the end with the data on its disk.
pub(super) fn kill(server: &dyn ServerProcess, target: String, lasts: Duration) -> ActiveFault<'_> {
    server.kill();
    ActiveFault { name: "server killed", target, lasts, heal: Box::new(|| Ok(server.restart()?)) }
}

/// A pause or a kill.
pub(super) fn pause_or_kill(
    pauses: bool,
    server: &dyn ServerProcess,
    target: String,
    lasts: Duration,
) -> anyhow::Result<ActiveFault<'_>> {
    if pauses { pause(server, target, lasts) } else { Ok(kill(server, target, lasts)) }
}
