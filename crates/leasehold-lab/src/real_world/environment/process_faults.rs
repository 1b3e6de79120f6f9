//! Pauses and kills of server processes.

use std::time::Duration;

use anyhow::Result;
use leasehold_testkit::server::{Program, ServerProcess};

use crate::real_world::model::ActiveFault;

/// SIGSTOP, and SIGCONT at the end.
pub(super) fn pause<P: Program>(
    server: &ServerProcess<P>,
    target: String,
    lasts: Duration,
) -> Result<ActiveFault<'_>> {
    server.pause()?;
    Ok(ActiveFault { name: "server paused", target, lasts, heal: Box::new(|| Ok(server.resume()?)) })
}

/// SIGKILL, and a restart at the end with the data on its disk.
pub(super) fn kill<P: Program>(
    server: &ServerProcess<P>,
    target: String,
    lasts: Duration,
) -> ActiveFault<'_> {
    server.kill();
    ActiveFault { name: "server killed", target, lasts, heal: Box::new(|| Ok(server.restart()?)) }
}

pub(super) fn pause_or_kill<P: Program>(
    pauses: bool,
    server: &ServerProcess<P>,
    target: String,
    lasts: Duration,
) -> Result<ActiveFault<'_>> {
    if pauses { pause(server, target, lasts) } else { Ok(kill(server, target, lasts)) }
}
