//! Redis: one server, three independent servers, a master with Sentinels, and a Cluster.

use std::{sync::Mutex, time::Duration};

use anyhow::{Context, Result};
use leasehold::{
    env::{Env, Moment},
    url::StoreUrl,
};
use leasehold_testkit::redis::{Cluster, Sentinels, Server};

use super::{Servers, Started, kill, pause, pause_or_kill, ttl_option, url};
use crate::{
    real_world::model::{ActiveFault, EnvironmentKind, TTL},
    rng::Rng,
    sync::lock,
};

const MEMBERS: usize = 3;
const CLUSTER_NODES: usize = 6;
const SLOTS: usize = 16384;
/// The time for which a member that has lost its data has no vote: `QuorumOptions` demands at least 10 s.
pub(super) const QUARANTINE: Duration = Duration::from_secs(10);

pub(super) fn start_one(kind: EnvironmentKind) -> Result<Started> {
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

impl Servers for Redis {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, lasts, target) = (rng.below(4), rng.span_ms(200, 3000), "server 0".to_string());
        let (name, command): (_, &[&str]) = match (choice, self.kind) {
            (0, _) => return pause(&self.server, target, lasts).map(Some),
            (1, _) => return Ok(Some(kill(&self.server, target, lasts / 2))),
            (_, EnvironmentKind::RedisClock) => {
                return clock_jump(&self.server, target, lasts, rng).map(Some);
            }
            (_, EnvironmentKind::RedisVolatile) => ("data flushed", &["FLUSHALL"]),
            (2, _) => ("connections killed", &["CLIENT", "KILL", "TYPE", "normal"]),
            _ => ("scripts flushed", &["SCRIPT", "FLUSH"]),
        };
        self.server.command(command)?.accepted()?;
        Ok(Some(ActiveFault::instant(name, target)))
    }
}

/// A jump of the wall clock, and the opposite jump at the end.
fn clock_jump<'s>(
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

pub(super) fn start_redlock(clocks_jump: bool) -> Result<Started> {
    let server = || if clocks_jump { Server::builder().clock_shim().start() } else { Server::start() };
    let servers = (0..MEMBERS).map(|_| server()).collect::<leasehold_testkit::Result<Vec<_>>>()?;
    let addresses: Vec<String> = servers.iter().map(Server::address).collect();
    let env = Env::system()?;
    let url = format!("{}&longest_lease={}ms", url("redlock"), TTL.as_millis());
    promote(&url.replace("ADDRESSES", &addresses.join(",")))?;
    let all_vote = Mutex::new(env.now());
    Ok((Box::new(Redlock { servers, clocks_jump, env, all_vote }), addresses, url))
}

/// Gives the new members, which hold nothing, their votes.
fn promote(url: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(leasehold::diagnose::promote(&StoreUrl::parse(url)?))?;
    Ok(())
}

/// Servers without persistence. One fails at a time, and none loses its data while another has no vote because it has
/// lost its own: a majority keeps its data.
struct Redlock {
    servers: Vec<Server>,
    clocks_jump: bool,
    env: Env,
    /// The end of the last quarantine.
    all_vote: Mutex<Moment>,
}

impl Redlock {
    /// Whether a member may lose its data; if so, its quarantine begins.
    fn may_forget(&self, lasts: Duration) -> bool {
        let (mut all_vote, now) = (lock(&self.all_vote), self.env.now());
        let may = now >= *all_vote;
        if may {
            *all_vote = now + lasts + QUARANTINE + TTL;
        }
        may
    }
}

impl Servers for Redlock {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, at, lasts) = (rng.below(4), rng.below(MEMBERS), rng.span_ms(300, 3000));
        let (server, target) = (&self.servers[at], format!("server {at}"));
        Ok(Some(match choice {
            0 if self.clocks_jump => clock_jump(server, target, lasts, rng)?,
            1 if self.may_forget(lasts) => kill(server, target, lasts),
            2 if self.may_forget(Duration::ZERO) => {
                server.command(&["FLUSHALL"])?.accepted()?;
                ActiveFault::instant("data flushed", target)
            }
            _ => pause(server, target, lasts)?,
        }))
    }
}

pub(super) fn start_sentinel() -> Result<Started> {
    let servers = Sentinels::start()?;
    let url = format!("{}?{}", servers.url(), ttl_option());
    Ok((Box::new(servers), Vec::new(), url))
}

impl Servers for Sentinels {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        // Sometimes long enough for a failover.
        let (choice, lasts, port) = (rng.below(3), rng.span_ms(500, 6000), self.master_port()?);
        let target = format!("master {port}");
        if choice < 2 {
            let master = self.server_at(port).with_context(|| format!("there is no server for {target}"))?;
            return pause_or_kill(choice == 0, master, target, lasts).map(Some);
        }
        // Refused while another failover is under way, which has the same effect.
        let _ = self.sentinel(0).command(&["SENTINEL", "FAILOVER", "main"])?;
        Ok(Some(ActiveFault::instant("failover", target)))
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.await_agreement()?)
    }
}

pub(super) fn start_cluster() -> Result<Started> {
    let servers = Cluster::start()?;
    let url = format!("{}?{}", servers.url(), ttl_option());
    Ok((Box::new(servers), Vec::new(), url))
}

impl Servers for Cluster {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (pauses, slot, lasts) = (rng.one_in(2), rng.below(SLOTS), rng.span_ms(500, 6000));
        // During an election a slot has no master.
        let Ok(at) = self.master_of(u16::try_from(slot).unwrap_or_default()) else { return Ok(None) };
        let (master, target) = (self.node(at), format!("master {at}"));
        if !master.is_running() {
            return Ok(None);
        }
        pause_or_kill(pauses, master, target, lasts).map(Some)
    }

    fn await_healthy(&self) -> Result<()> {
        Ok(self.await_well(CLUSTER_NODES)?)
    }
}
