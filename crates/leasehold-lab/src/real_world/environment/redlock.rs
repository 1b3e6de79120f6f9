//! Three independent Redis servers without persistence.
//!
//! One server fails at a time, and none loses its data while another has no vote because it has lost its own: a majority
//! keeps its data.

use std::{sync::Mutex, time::Duration};

use anyhow::Result;
use leasehold::{
    env::{Env, Moment},
    url::StoreUrl,
};
use leasehold_testkit::redis::Server;

use super::{Servers, Started, process_faults, redis::clock_jump, url};
use crate::{
    real_world::model::{ActiveFault, TTL},
    rng::Rng,
    sync::lock,
};

const MEMBERS: usize = 3;
/// The time for which a member that has lost its data has no vote: `QuorumOptions` demands at least 10 s.
pub(super) const QUARANTINE: Duration = Duration::from_secs(10);

pub(super) fn start(clocks_jump: bool) -> Result<Started> {
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
            1 if self.may_forget(lasts) => process_faults::kill(server, target, lasts),
            2 if self.may_forget(Duration::ZERO) => {
                server.command(&["FLUSHALL"])?.accepted()?;
                ActiveFault::instant("data flushed", target)
            }
            _ => process_faults::pause(server, target, lasts)?,
        }))
    }
}
