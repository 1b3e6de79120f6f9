//! Rung 7: Redlock: the lock is held who has it on two of three independent servers. One that forgets, because its clock
//! jumped or because it restarted without its memory, is enough for two majorities.

use std::time::Duration;

use anyhow::Result;
use leasehold::env::Env;
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Connection, Server},
};

use super::{DELETE_IF_MINE, Rung, TOGETHER};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome, SOON},
    stage::{Stage, has_compiler},
};

const TTL: Duration = Duration::from_secs(5);
const TTL_MS: &str = "5000";
/// Longer than the time to live.
const JUMP_S: f64 = 20.0;
const SERVERS: usize = 3;
/// What the algorithm takes off for clocks that do not run alike: a hundredth and 2 ms.
const DRIFT: Duration = Duration::from_millis(52);

struct Client<'e> {
    env: &'e Env,
    addresses: Vec<String>,
    key: &'static str,
    id: &'static str,
}

impl Client<'_> {
    /// The algorithm as published: all servers in turn, a majority, and time left; else all are given back.
    fn try_lock(&self) -> Result<bool> {
        let begin = self.env.now();
        let granted = self.addresses.iter().filter(|address| self.set(address).unwrap_or(false)).count();
        let left = TTL.saturating_sub(self.env.now().since(begin) + DRIFT);
        let held = granted > SERVERS / 2 && !left.is_zero();
        if !held {
            self.unlock();
        }
        Ok(held)
    }

    fn set(&self, address: &str) -> Result<bool> {
        let command = ["SET", self.key, self.id, "NX", "PX", TTL_MS];
        Ok(Connection::open(address)?.call(&command)?.accepted()?.text() == Some("OK"))
    }

    fn unlock(&self) {
        for address in &self.addresses {
            let delete = |mut open: Connection| open.call(&["EVAL", DELETE_IF_MINE, "1", self.key, self.id]);
            // A server that cannot be reached will forget by itself.
            let _ = Connection::open(address).and_then(delete);
        }
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let start = |index| match index {
        1 if has_compiler() => Server::builder().clock_shim().start(),
        _ => Server::start(),
    };
    let servers = (0..SERVERS).map(start).collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = Vec::new();
    let jump = "one server's clock jumps by 20 s";
    if has_compiler() {
        let case = Case::new(stage, rung, jump, Expectation::TwoHolders);
        outcomes.push(two_majorities(stage, case, &servers, "ladder:7:jump", |it| it.jump_clock(JUMP_S))?);
    }
    let case = Case::new(stage, rung, "one server restarts without memory", Expectation::TwoHolders);
    outcomes.push(two_majorities(stage, case, &servers, "ladder:7:restart", Server::restart)?);
    Ok(outcomes)
}

fn two_majorities(
    stage: &Stage,
    mut case: Case<'_>,
    servers: &[Server],
    key: &'static str,
    fail: impl FnOnce(&Server) -> leasehold_testkit::Result<()>,
) -> Result<Outcome> {
    // The first client cannot reach the third server at the moment, which Redlock is made to survive.
    let broken = Proxy::to(&servers[2].address())?;
    broken.refuse();
    let mut addresses: Vec<String> = servers.iter().map(Server::address).collect();
    let next = Client { env: &stage.env, addresses: addresses.clone(), key, id: "B" };
    addresses[2] = broken.address();
    let first = Client { env: &stage.env, addresses, key, id: "A" };
    case.acquire('A', || first.try_lock())?;
    let read = case.resource.read();
    if case.wait('B', TOGETHER, || next.try_lock())? {
        return Ok(case.finish());
    }
    fail(&servers[1])?;
    if !case.wait('B', SOON, || next.try_lock())? {
        return Ok(case.finish());
    }
    let next_read = case.resource.read();
    for server in servers {
        case.look(&mut server.connect()?, &["GET", key])?;
    }
    case.work(stage.env.now() + TOGETHER)?;
    case.resource.write(read);
    case.end('A');
    case.resource.write(next_read);
    case.end('B');
    first.unlock();
    next.unlock();
    Ok(case.finish())
}
