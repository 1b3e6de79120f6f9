//! Rung 6: a watchdog renews every third of the time to live, as Redisson's does. Long work is safe; but when renewals
//! fail, or the master dies before it has replicated the lock, nothing stops the work.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use leasehold_testkit::{proxy::Proxy, redis::Replicated};

use crate::{
    ladder::{
        experiment::Experiment,
        harness::Harness,
        model::{Expectation, Rung, SOON, TOGETHER},
        result::ExperimentResult,
    },
    naive_redis::NaiveRedis,
};

const KEY: &str = "ladder:6";
const TTL: Duration = Duration::from_millis(600);
/// Longer than the life of a lock that is not renewed.
const LONGER: Duration = Duration::from_millis(900);

fn client(address: String, id: &str) -> NaiveRedis {
    NaiveRedis::new(&[address], KEY, id, TTL)
}

pub(super) fn play(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    Ok(vec![cut(harness, rung)?, failover(harness, rung)?])
}

fn cut(harness: &Harness, rung: &Rung) -> Result<ExperimentResult> {
    let network = Proxy::to(&harness.server.address())?;
    let (mut first, mut next) = (client(network.address(), "A"), client(harness.server.address(), "B"));
    let failure = "the connection of the watchdog is cut";
    let mut experiment = Experiment::new(harness, rung, failure, Expectation::TwoHolders);
    let read = experiment.acquire('A', || first.try_lock())?;
    let watchdog = Watchdog::start(client(network.address(), "A"))?;
    // The purpose of a watchdog: no other client gets the lock, however long the work takes.
    if experiment.wait('B', LONGER, || next.try_lock())? {
        return Ok(experiment.finish());
    }
    network.refuse();
    network.reset_all();
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(experiment.finish());
    }
    let until = harness.env.now() + TOGETHER;
    experiment.overlap(read, until, |experiment| experiment.observe(&mut next, &["GET", KEY]).map(drop))?;
    watchdog.stop(&mut experiment);
    Ok(experiment.finish())
}

fn failover(harness: &Harness, rung: &Rung) -> Result<ExperimentResult> {
    let servers = Replicated::start(1)?;
    let master = || servers.master().address();
    let (mut first, mut next) = (client(master(), "A"), client(master(), "B"));
    let failure = "the master dies before it replicates";
    let mut experiment = Experiment::new(harness, rung, failure, Expectation::TwoHolders);
    servers.link(0).hold_replies();
    let read = experiment.acquire('A', || first.try_lock())?;
    let watchdog = Watchdog::start(client(master(), "A"))?;
    if experiment.wait('B', TOGETHER, || next.try_lock())? {
        return Ok(experiment.finish());
    }
    servers.master().kill();
    servers.failover_to(0)?;
    let mut next = client(servers.replica(0).address(), "B");
    experiment.observe(&mut next, &["GET", KEY])?;
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(experiment.finish());
    }
    let until = harness.env.now() + TTL / 2;
    experiment.overlap(read, until, |experiment| experiment.observe(&mut next, &["GET", KEY]).map(drop))?;
    watchdog.stop(&mut experiment);
    Ok(experiment.finish())
}

/// A thread that renews every third of the time to live. A failure is counted, and the next renewal uses a new connection.
struct Watchdog {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<(u64, u64)>,
}

impl Watchdog {
    fn start(mut client: NaiveRedis) -> Result<Watchdog> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let (mut renewed, mut failed) = (0, 0);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TTL / 3) {
                *(if client.renew() { &mut renewed } else { &mut failed }) += 1;
            }
            (renewed, failed)
        };
        let thread = thread::Builder::new().name("naive-watchdog".into()).spawn(work)?;
        Ok(Watchdog { stop, thread })
    }

    fn stop(self, experiment: &mut Experiment<'_>) {
        drop(self.stop);
        let counts = &mut experiment.result.counts;
        (counts.renewals, counts.renewals_failed) = self.thread.join().unwrap_or_default();
    }
}
