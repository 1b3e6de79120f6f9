//! One Memcached server, which forgets whenever it likes.

use std::{fmt::Write, time::Duration};

use leasehold_testkit::memcached::Server;

use super::{Promise, Scene, machine, url};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

/// How many items of each size fill a server of 2 MB until it evicts.
const ITEMS: usize = 12_000;
/// Bytes of values, one of each class that the entries of locks may be in.
const SIZES: [usize; 4] = [60, 110, 170, 260];

pub(super) struct Memcached {
    network: Network,
    server: Server,
}

impl Memcached {
    pub(super) fn start(places: usize) -> Result<Self> {
        let server = Server::with(&["-m", "2"])?;
        Ok(Self { network: Network::to(&[server.address()], places)?, server })
    }

    /// Whoever has not been used for longest goes.
    fn fill(&self) -> Result<()> {
        let mut connection = self.server.connect()?;
        for size in SIZES {
            let (mut commands, value) = (String::new(), "x".repeat(size));
            for item in 0..ITEMS {
                // Writing into a string does not fail.
                let _ = write!(commands, "set fill-{size}-{item} 0 0 {size} noreply\r\n{value}\r\n");
            }
            connection.send(commands.as_bytes())?;
        }
        connection.command("version")?;
        Ok(())
    }
}

impl Scene for Memcached {
    fn url(&self, place: usize) -> String {
        url("memcached", &self.network.addresses(place))
    }

    fn servers(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.network)
    }

    /// Leases exclude nobody here; tokens grow all the same, also across restarts, as long as the calendar does.
    fn promise(&self) -> Promise {
        Promise { clocks: true, memory: false, heal_bound: Duration::from_secs(8) }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        let (choice, lasts, target) = (dice.below(4), dice.span_ms(200, 3000), "server 0".to_string());
        Ok(Some(match choice {
            0 => machine::paused(&self.server, target, lasts)?,
            1 => machine::killed(&self.server, target, lasts / 2),
            2 => {
                self.server.command("flush_all")?;
                Strike::at_once("data flushed", target)
            }
            _ => {
                self.fill()?;
                Strike::at_once("data evicted", target)
            }
        }))
    }

    fn mend(&self) -> Result<()> {
        self.network.heal();
        Ok(())
    }
}
