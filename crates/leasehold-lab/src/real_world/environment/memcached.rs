//! One Memcached server, which evicts and forgets.

use std::fmt::Write;

use anyhow::Result;
use leasehold_testkit::memcached::Server;

use super::{Servers, Started, process_faults, url};
use crate::{real_world::model::ActiveFault, rng::Rng};

/// The number of items of each size that fill a server of 2 MB until it evicts.
const ITEMS: usize = 12_000;
/// Sizes of values in bytes, one for each slab class that the entries of locks may be in.
const SIZES: [usize; 4] = [60, 110, 170, 260];

pub(super) fn start() -> Result<Started> {
    let server = Server::with(&["-m", "2"])?;
    let addresses = vec![server.address()];
    Ok((Box::new(Memcached(server)), addresses, url("memcached")))
}

struct Memcached(Server);

impl Memcached {
    /// Fills the memory, so that the least recently used entries are evicted.
    fn fill(&self) -> Result<()> {
        let mut connection = self.0.connect()?;
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

impl Servers for Memcached {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, lasts, target) = (rng.below(4), rng.span_ms(200, 3000), "server 0".to_string());
        Ok(Some(match choice {
            0 => process_faults::pause(&self.0, target, lasts)?,
            1 => process_faults::kill(&self.0, target, lasts / 2),
            2 => {
                self.0.command("flush_all")?;
                ActiveFault::instant("data flushed", target)
            }
            _ => {
                self.fill()?;
                ActiveFault::instant("data evicted", target)
            }
        }))
    }
}
