//! Rung 6: a watchdog renews every third of the time to live, as Redisson's does. Long work is fine; but when renewals
//! fail, or the master dies before it has replicated the lock, nobody stops the work.

mod dog;

use std::time::Duration;

use anyhow::Result;
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Connection, Replicated},
};

use self::dog::Watchdog;
use super::{Rung, TOGETHER};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome, SOON},
    stage::Stage,
};

const KEY: &str = "ladder:6";
const TTL: Duration = Duration::from_millis(600);
const TTL_MS: &str = "600";
/// Longer than a lock lives that is not renewed.
const LONGER: Duration = Duration::from_millis(900);

struct Client {
    connection: Connection,
    id: &'static str,
}

impl Client {
    fn new(address: &str, id: &'static str) -> Result<Client> {
        Ok(Client { connection: Connection::open(address)?, id })
    }

    fn try_lock(&mut self) -> Result<bool> {
        let reply = self.connection.call(&["SET", KEY, self.id, "NX", "PX", TTL_MS])?.accepted()?;
        Ok(reply.text() == Some("OK"))
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    Ok(vec![cut(stage, rung)?, failover(stage, rung)?])
}

fn cut(stage: &Stage, rung: &Rung) -> Result<Outcome> {
    let network = Proxy::to(&stage.server.address())?;
    let mut first = Client::new(&network.address(), "A")?;
    let mut next = Client::new(&stage.server.address(), "B")?;
    let failure = "the connection of the watchdog is cut";
    let mut case = Case::new(stage, rung, failure, Expectation::TwoHolders);
    case.acquire('A', || first.try_lock())?;
    let dog = Watchdog::start(&network.address(), KEY, "A", TTL)?;
    let read = case.resource.read();
    // What this rung is for: nobody gets in, however long the work takes.
    if case.wait('B', LONGER, || next.try_lock())? {
        return Ok(case.finish());
    }
    network.refuse();
    network.reset_all();
    if !case.wait('B', SOON, || next.try_lock())? {
        return Ok(case.finish());
    }
    let next_read = case.resource.read();
    case.work(stage.env.now() + TOGETHER)?;
    case.look(&mut next.connection, &["GET", KEY])?;
    case.resource.write(read);
    case.end('A');
    case.resource.write(next_read);
    case.end('B');
    (case.outcome.counts.renewals, case.outcome.counts.renewals_failed) = dog.stop();
    Ok(case.finish())
}

fn failover(stage: &Stage, rung: &Rung) -> Result<Outcome> {
    let servers = Replicated::start(1)?;
    let mut first = Client::new(&servers.master().address(), "A")?;
    let mut next = Client::new(&servers.master().address(), "B")?;
    let failure = "the master dies before it replicates";
    let mut case = Case::new(stage, rung, failure, Expectation::TwoHolders);
    servers.link(0).hold_replies();
    case.acquire('A', || first.try_lock())?;
    let dog = Watchdog::start(&servers.master().address(), KEY, "A", TTL)?;
    let read = case.resource.read();
    if case.wait('B', TOGETHER, || next.try_lock())? {
        return Ok(case.finish());
    }
    servers.master().kill();
    servers.failover_to(0)?;
    let mut next = Client::new(&servers.replica(0).address(), "B")?;
    case.look(&mut next.connection, &["GET", KEY])?;
    if !case.wait('B', SOON, || next.try_lock())? {
        return Ok(case.finish());
    }
    let next_read = case.resource.read();
    case.work(stage.env.now() + TTL / 2)?;
    case.look(&mut next.connection, &["GET", KEY])?;
    case.resource.write(read);
    case.end('A');
    case.resource.write(next_read);
    case.end('B');
    (case.outcome.counts.renewals, case.outcome.counts.renewals_failed) = dog.stop();
    Ok(case.finish())
}
