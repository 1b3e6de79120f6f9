//! A Redis Cluster.

use std::time::Duration;

use leasehold_testkit::redis;

use super::{Promise, Scene, machine, ttl};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

const NODES: usize = 6;
const SLOTS: usize = 16384;

pub(super) struct Cluster(redis::Cluster);

impl Cluster {
    pub(super) fn start() -> Result<Self> {
        Ok(Self(redis::Cluster::start()?))
    }
}

impl Scene for Cluster {
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
        let (pauses, slot, lasts) = (dice.one_in(2), dice.below(SLOTS), dice.span_ms(500, 6000));
        // While one is elected there is nobody to strike.
        let Ok(at) = self.0.master_of(u16::try_from(slot).unwrap_or_default()) else { return Ok(None) };
        let (master, target) = (self.0.node(at), format!("master {at}"));
        if !master.is_running() {
            return Ok(None);
        }
        Ok(Some(if pauses {
            machine::paused(master, target, lasts)?
        } else {
            machine::killed(master, target, lasts)
        }))
    }

    fn mend(&self) -> Result<()> {
        Ok(self.0.await_well(NODES)?)
    }
}
