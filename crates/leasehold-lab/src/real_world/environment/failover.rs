//! Redis with replicas: a master watched by three Sentinels, and a Redis Cluster.

use anyhow::{Context, Result};
use leasehold_testkit::redis::{self, Sentinels, Server};

use super::{Servers, Started, process_faults, ttl_option};
use crate::{real_world::model::ActiveFault, rng::Rng};

const CLUSTER_NODES: usize = 6;
const SLOTS: usize = 16384;

pub(super) fn start_sentinel() -> Result<Started> {
    let servers = Sentinels::start()?;
    let url = format!("{}?{}", servers.url(), ttl_option());
    Ok((Box::new(Sentinel(servers)), Vec::new(), url))
}

pub(super) fn start_cluster() -> Result<Started> {
    let servers = redis::Cluster::start()?;
    let url = format!("{}?{}", servers.url(), ttl_option());
    Ok((Box::new(Cluster(servers)), Vec::new(), url))
}

struct Sentinel(Sentinels);

impl Sentinel {
    fn master(&self) -> Result<&Server> {
        let port = self.0.master_port()?;
        self.0
            .server_at(port)
            .with_context(|| format!("the master at port {port} is not one of these servers"))
    }
}

impl Servers for Sentinel {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        // Sometimes long enough for a failover.
        let (choice, lasts, master) = (rng.below(3), rng.span_ms(500, 6000), self.master()?);
        let target = format!("master {}", master.port());
        if choice < 2 {
            return process_faults::pause_or_kill(choice == 0, master, target, lasts).map(Some);
        }
        // Refused while another failover is under way, which has the same effect.
        let _ = self.0.sentinel(0).command(&["SENTINEL", "FAILOVER", "main"])?;
        Ok(Some(ActiveFault::instant("failover", target)))
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.0.await_agreement()?)
    }
}

struct Cluster(redis::Cluster);

impl Servers for Cluster {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (pauses, slot, lasts) = (rng.one_in(2), rng.below(SLOTS), rng.span_ms(500, 6000));
        // During an election a slot has no master.
        let Ok(at) = self.0.master_of(u16::try_from(slot).unwrap_or_default()) else { return Ok(None) };
        let (master, target) = (self.0.node(at), format!("master {at}"));
        if !master.is_running() {
            return Ok(None);
        }
        process_faults::pause_or_kill(pauses, master, target, lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.0.await_well(CLUSTER_NODES)?)
    }
}
