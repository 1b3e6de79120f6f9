//! Three Redis servers without persistence that vote.
//!
//! One fails at a time, and none forgets while another has no vote because it has forgotten: a majority keeps its data.

use std::{sync::Mutex, time::Duration};

use leasehold::{
    env::{Env, Moment},
    url::StoreUrl,
};
use leasehold_testkit::redis::Server;

use super::{Promise, Scene, machine, redis::clock_jumps, url};
use crate::torture::{dice::Dice, failure::Result, lock::TTL, nemesis::Strike, network::Network, pace::lock};

const MEMBERS: usize = 3;
/// For how long a member that has forgotten has no vote: `QuorumOptions` says at least 10 s.
const QUARANTINE: Duration = Duration::from_secs(10);

pub(super) struct Redlock {
    network: Network,
    servers: Vec<Server>,
    clocks_jump: bool,
    env: Env,
    /// When the last one that forgot has its vote again.
    all_vote: Mutex<Moment>,
}

impl Redlock {
    pub(super) fn start(clocks_jump: bool, places: usize) -> Result<Self> {
        let server = || if clocks_jump { Server::builder().clock_shim().start() } else { Server::start() };
        let servers = (0..MEMBERS).map(|_| server()).collect::<leasehold_testkit::Result<Vec<_>>>()?;
        let addresses: Vec<String> = servers.iter().map(Server::address).collect();
        let env = Env::system()?;
        promote(&redlock_url(&addresses))?;
        let network = Network::to(&addresses, places)?;
        let all_vote = Mutex::new(env.now());
        Ok(Self { network, servers, clocks_jump, env, all_vote })
    }

    /// Whether another one may forget; from now on it may not.
    fn may_forget(&self, lasts: Duration) -> bool {
        let (mut all_vote, now) = (lock(&self.all_vote), self.env.now());
        let may = now >= *all_vote;
        if may {
            *all_vote = now + lasts + QUARANTINE + TTL;
        }
        may
    }
}

/// The members are new: nobody holds anything there.
fn promote(url: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(leasehold::diagnose::promote(&StoreUrl::parse(url)?))?;
    Ok(())
}

fn redlock_url(addresses: &[String]) -> String {
    format!("{}&longest_lease={}ms", url("redlock", addresses), TTL.as_millis())
}

impl Scene for Redlock {
    fn url(&self, place: usize) -> String {
        redlock_url(&self.network.addresses(place))
    }

    fn servers(&self, place: usize) -> Vec<String> {
        self.network.addresses(place)
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.network)
    }

    fn promise(&self) -> Promise {
        let heal_bound = QUARANTINE + TTL + Duration::from_secs(3);
        Promise { clocks: !self.clocks_jump, memory: true, heal_bound }
    }

    fn strike(&self, dice: &mut Dice) -> Result<Option<Strike<'_>>> {
        let (choice, at, lasts) = (dice.below(4), dice.below(MEMBERS), dice.span_ms(300, 3000));
        let (server, target) = (&self.servers[at], format!("server {at}"));
        Ok(Some(match choice {
            0 if self.clocks_jump => clock_jumps(server, target, lasts, dice)?,
            1 if self.may_forget(lasts) => machine::killed(server, target, lasts),
            2 if self.may_forget(Duration::ZERO) => {
                server.command(&["FLUSHALL"])?.accepted()?;
                Strike::at_once("data flushed", target)
            }
            _ => machine::paused(server, target, lasts)?,
        }))
    }

    fn mend(&self) -> Result<()> {
        self.network.heal();
        Ok(())
    }
}
