//! Rung 7: Redlock, a majority of three independent servers. One server that forgets, because its clock jumps or because
//! it restarts without its data, makes two majorities possible.

use std::time::Duration;

use anyhow::Result;
use leasehold::env::Env;
use leasehold_testkit::{proxy::Proxy, redis::Server};

use crate::{
    ladder::{
        experiment::Experiment,
        harness::{Harness, has_compiler},
        model::{Expectation, Rung, SOON, TOGETHER},
        result::ExperimentResult,
    },
    naive_redis::NaiveRedis,
};

const TTL: Duration = Duration::from_secs(5);
/// Longer than the time to live.
const JUMP_S: f64 = 20.0;
const SERVERS: usize = 3;
/// The algorithm's allowance for clock drift: a hundredth of the time to live and 2 ms.
const DRIFT: Duration = Duration::from_millis(52);

struct Redlock<'e> {
    env: &'e Env,
    client: NaiveRedis,
}

impl Redlock<'_> {
    /// The algorithm as published: all servers, a majority, and validity left; else all locks are released.
    fn try_lock(&mut self) -> bool {
        let begin = self.env.now();
        let votes = self.client.set();
        let left = TTL.saturating_sub(self.env.now().since(begin) + DRIFT);
        let held = votes.won() && !left.is_zero();
        if !held {
            self.client.compare_and_delete();
        }
        held
    }
}

pub(super) fn play(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    let start = |index| match index {
        1 if has_compiler() => Server::builder().clock_shim().start(),
        _ => Server::start(),
    };
    let servers = (0..SERVERS).map(start).collect::<Result<Vec<_>, _>>()?;
    let mut results = Vec::new();
    let experiment = |failure| Experiment::new(harness, rung, failure, Expectation::TwoHolders);
    if has_compiler() {
        let jump = experiment("one server's clock jumps by 20 s");
        results.push(two_majorities(harness, jump, &servers, "ladder:7:jump", |it| it.jump_clock(JUMP_S))?);
    }
    let restart = experiment("one server restarts without memory");
    results.push(two_majorities(harness, restart, &servers, "ladder:7:restart", Server::restart)?);
    Ok(results)
}

fn two_majorities(
    harness: &Harness,
    mut experiment: Experiment<'_>,
    servers: &[Server],
    key: &'static str,
    fail: impl FnOnce(&Server) -> leasehold_testkit::Result<()>,
) -> Result<ExperimentResult> {
    // The first client cannot reach the third server, which Redlock has to tolerate.
    let broken = Proxy::to(&servers[2].address())?;
    broken.refuse();
    let mut addresses: Vec<String> = servers.iter().map(Server::address).collect();
    let client = |addresses: &[String], id| Redlock {
        env: &harness.env,
        client: NaiveRedis::new(addresses, key, id, TTL),
    };
    let mut next = client(&addresses, "B");
    addresses[2] = broken.address();
    let mut first = client(&addresses, "A");
    let read = experiment.acquire('A', || Ok(first.try_lock()))?;
    if experiment.wait('B', TOGETHER, || Ok(next.try_lock()))? {
        return Ok(experiment.finish());
    }
    fail(&servers[1])?;
    if !experiment.wait('B', SOON, || Ok(next.try_lock()))? {
        return Ok(experiment.finish());
    }
    for server in servers {
        let mut observer = NaiveRedis::new(&[server.address()], key, "", TTL);
        experiment.observe(&mut observer, &["GET", key])?;
    }
    experiment.overlap(read, harness.env.now() + TOGETHER, |_| Ok(()))?;
    first.client.compare_and_delete();
    next.client.compare_and_delete();
    Ok(experiment.finish())
}
