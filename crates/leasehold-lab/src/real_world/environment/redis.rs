//! One Redis server.

use std::time::Duration;

use anyhow::Result;
use leasehold_testkit::redis::Server;

use super::{Servers, Started, process_faults, url};
use crate::{
    real_world::model::{ActiveFault, EnvironmentKind},
    rng::Rng,
};

pub(super) fn start(kind: EnvironmentKind) -> Result<Started> {
    let builder = Server::builder();
    let server = match kind {
        EnvironmentKind::RedisVolatile => builder,
        EnvironmentKind::RedisClock => builder.aof().clock_shim(),
        _ => builder.aof(),
    }
    .start()?;
    let addresses = vec![server.address()];
    Ok((Box::new(Redis { server, kind }), addresses, url("redis")))
}

struct Redis {
    server: Server,
    kind: EnvironmentKind,
}

impl Redis {
    /// A fault that is one command.
    fn command(&self, name: &'static str, command: &[&str]) -> Result<ActiveFault<'_>> {
        self.server.command(command)?.accepted()?;
        Ok(ActiveFault::instant(name, "server 0".into()))
    }
}

impl Servers for Redis {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, lasts, target) = (rng.below(4), rng.span_ms(200, 3000), "server 0".to_string());
        Ok(Some(match (choice, self.kind) {
            (0, _) => process_faults::pause(&self.server, target, lasts)?,
            (1, _) => process_faults::kill(&self.server, target, lasts / 2),
            (_, EnvironmentKind::RedisVolatile) => self.command("data flushed", &["FLUSHALL"])?,
            (_, EnvironmentKind::RedisClock) => clock_jump(&self.server, target, lasts, rng)?,
            (2, _) => self.command("connections killed", &["CLIENT", "KILL", "TYPE", "normal"])?,
            _ => self.command("scripts flushed", &["SCRIPT", "FLUSH"])?,
        }))
    }
}

/// A jump of the wall clock, and the opposite jump at the end.
pub(super) fn clock_jump<'s>(
    server: &'s Server,
    target: String,
    lasts: Duration,
    rng: &mut Rng,
) -> Result<ActiveFault<'s>> {
    let seconds = if rng.one_in(3) { -20.0 } else { 5.0 + rng.below(36) as f64 };
    server.jump_clock(seconds)?;
    let heal = Box::new(move || Ok(server.jump_clock(-seconds)?));
    Ok(ActiveFault { name: "clock jumped", target, lasts, heal })
}
