//! A Redis master with two replicas, watched by three Sentinels.

use std::time::Duration;

use leasehold_testkit::redis::{Sentinels, Server};

use super::{Promise, Scene, machine, ttl};
use crate::torture::{
    dice::Dice,
    failure::{Failure, Result},
    nemesis::Strike,
    network::Network,
};

pub(super) struct Sentinel(Sentinels);

impl Sentinel {
    pub(super) fn start() -> Result<Self> {
        Ok(Self(Sentinels::start()?))
    }

    fn master(&self) -> Result<&Server> {
        let port = self.0.master_port()?;
        self.0.server_at(port).ok_or_else(|| Failure(format!("a master at {port} that is none of ours")))
    }
}

impl Scene for Sentinel {
    fn url(&self, _: usize) -> String {
        format!("{}?{}", self.0.url(), ttl())
    }

    fn servers(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn network(&self) -> Option<&Network> {
        None
    }

    /// Replication is asynchronous: a promoted replica may not know of the last grants.
    fn promise(&self) -> Promise {
        Promise { clocks: true, memory: false, heal_bound: Duration::from_secs(15) }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        // Long enough for the Sentinels to act, and sometimes not.
        let (choice, lasts, master) = (dice.below(3), dice.span_ms(500, 6000), self.master()?);
        let target = format!("master {}", master.port());
        Ok(Some(match choice {
            0 => machine::paused(master, target, lasts)?,
            1 => machine::killed(master, target, lasts),
            _ => {
                // Refused while another one is under way, which is as good.
                let _ = self.0.sentinel(0).command(&["SENTINEL", "FAILOVER", "main"])?;
                Strike::at_once("failover", target)
            }
        }))
    }

    fn mend(&self) -> Result<()> {
        Ok(self.0.await_agreement()?)
    }
}
