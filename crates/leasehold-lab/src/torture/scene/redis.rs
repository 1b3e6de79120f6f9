//! One Redis server.

use std::time::Duration;

use leasehold_testkit::redis::Server;

use super::{Promise, Scene, machine, url};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

/// What may happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flavour {
    Durable,
    Volatile,
    Clock,
}

pub(super) struct Redis {
    network: Network,
    server: Server,
    flavour: Flavour,
}

impl Redis {
    pub(super) fn start(flavour: Flavour, places: usize) -> Result<Self> {
        let builder = Server::builder();
        let server = match flavour {
            Flavour::Durable => builder.aof(),
            Flavour::Volatile => builder,
            Flavour::Clock => builder.aof().clock_shim(),
        }
        .start()?;
        Ok(Self { network: Network::to(&[server.address()], places)?, server, flavour })
    }

    /// A command that is a fault.
    fn command(&self, name: &'static str, command: &[&str]) -> Result<Strike<'_>> {
        self.server.command(command)?.accepted()?;
        Ok(Strike::at_once(name, "server 0".into()))
    }
}

impl Scene for Redis {
    fn url(&self, place: usize) -> String {
        url("redis", &self.network.addresses(place))
    }

    fn servers(&self, place: usize) -> Vec<String> {
        self.network.addresses(place)
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.network)
    }

    fn promise(&self) -> Promise {
        Promise {
            clocks: self.flavour != Flavour::Clock,
            memory: self.flavour != Flavour::Volatile,
            heal_bound: Duration::from_secs(8),
        }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        let (choice, lasts, target) = (dice.below(4), dice.span_ms(200, 3000), "server 0".to_string());
        Ok(Some(match (choice, self.flavour) {
            (0, _) => machine::paused(&self.server, target, lasts)?,
            (1, _) => machine::killed(&self.server, target, lasts / 2),
            (2, Flavour::Durable) => {
                self.command("connections killed", &["CLIENT", "KILL", "TYPE", "normal"])?
            }
            (_, Flavour::Durable) => self.command("scripts flushed", &["SCRIPT", "FLUSH"])?,
            (_, Flavour::Volatile) => self.command("data flushed", &["FLUSHALL"])?,
            (_, Flavour::Clock) => clock_jumps(&self.server, target, lasts, dice)?,
        }))
    }

    fn mend(&self) -> Result<()> {
        self.network.heal();
        Ok(())
    }
}

/// The wall clock jumps by so much, and back at the end.
pub(super) fn clock_jumps<'s>(
    server: &'s Server,
    target: String,
    lasts: Duration,
    dice: &mut Dice,
) -> Result<Strike<'s>> {
    let seconds = if dice.one_in(3) { -20.0 } else { 5.0 + dice.below(36) as f64 };
    server.jump_clock(seconds)?;
    Ok(Strike {
        name: "clock jumped",
        target,
        lasts,
        heal: Box::new(move || Ok(server.jump_clock(-seconds)?)),
    })
}
