//! A store that is away is an error and never "somebody has it", and no wait is longer than it was asked to be.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::{fmt::Debug, future::Future, time::Duration};

use leasehold::{Client, Owner, Result};
use leasehold_testkit::{
    etcd, memcached, redis,
    server::{Program, ServerProcess},
    zookeeper,
};

const WAIT: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_secs(2);
/// A late answer and a release that is due, a tenth of a second each, on a machine that is busy.
const SLACK: Duration = Duration::from_millis(800);

/// The verb answers its error, and in time.
async fn fails<T: Debug>(what: &str, limit: Duration, verb: impl Future<Output = Result<T>>) {
    let env = leasehold::env::Env::system().unwrap();
    let begin = env.now();
    let answer = verb.await;
    let took = env.now().since(begin);
    assert!(answer.is_err(), "{what}: {answer:?} of a store that is away");
    assert!(took < limit + SLACK, "{what} took {took:?}");
}

async fn every_verb_fails(client: &Client, state: &str) {
    let url = client.url();
    let what = |verb: &str| format!("{verb} on {url}, {state}");
    let mutex = client.mutex("m").unwrap();
    fails(&what("try_lock_for"), WAIT, mutex.try_lock_for(WAIT)).await;
    fails(&what("fair"), WAIT, client.mutex("f").unwrap().fair().try_lock_for(WAIT)).await;
    fails(&what("nothing"), WAIT, mutex.try_lock_for(Duration::ZERO)).await;
    // A quorum has exclusive locks alone.
    if let Ok(rw_lock) = client.rw_lock("rw") {
        fails(&what("try_read_for"), WAIT, rw_lock.try_read_for(WAIT)).await;
        fails(&what("try_write_for"), WAIT, rw_lock.try_write_for(WAIT)).await;
    }
    if let Ok(semaphore) = client.semaphore("s", 3) {
        fails(&what("try_acquire_many_for"), WAIT, semaphore.try_acquire_many_for(2, WAIT)).await;
        fails(&what("try_acquire_many"), RETRY, semaphore.try_acquire_many(2)).await;
    }
    let election = client.election("e").unwrap();
    fails(&what("try_campaign_for"), WAIT, election.try_campaign_for("me", WAIT)).await;
    let several = client.multi_lock(["a", "b"]).unwrap();
    fails(&what("multi"), WAIT, several.try_lock_for(WAIT)).await;
    if let Ok(latch) = client.count_down_latch("l", 2) {
        fails(&what("wait_for"), WAIT, latch.wait_for(WAIT)).await;
    }
    let (reentrant, me) = (client.reentrant_mutex("r").unwrap(), Owner::new());
    let two = async { tokio::join!(reentrant.try_lock_for(&me, WAIT), reentrant.try_lock_for(&me, WAIT)) };
    fails(&what("reentrant"), WAIT, async {
        let (one, other) = two.await;
        one.and(other)
    })
    .await;
    // One task asks; the others that wait behind it in this process learn what it has seen.
    let crowd = (0..8).map(|_| mutex.clone()).map(|mutex| async move { mutex.try_lock_for(WAIT).await });
    let mut crowd: tokio::task::JoinSet<_> = crowd.collect();
    while let Some(waiter) = crowd.join_next().await {
        fails(&what("a crowd"), WAIT, async { waiter.unwrap() }).await;
    }
    fails(&what("try_lock"), RETRY, client.mutex("t").unwrap().try_lock()).await;
    // The control: a client that bounds its wait from outside says "busy" in an outage, and nobody holds.
    let env = client.env();
    let says_busy = env.until(env.now() + WAIT, client.mutex("naive").unwrap().lock()).await;
    assert!(says_busy.is_none(), "the control waits for a store that is away");
}

async fn answers_busy_and_free(client: &Client, other: &Client) {
    let guard = client.mutex("held").unwrap().lock().await.unwrap();
    assert!(other.mutex("held").unwrap().try_lock_for(WAIT * 10).await.unwrap().is_none());
    guard.release().await.unwrap();
    for name in ["m", "rw", "e", "a", "b", "t", "held"] {
        let guard = other.mutex(name).unwrap().try_lock_for(Duration::from_secs(20)).await.unwrap();
        guard.unwrap_or_else(|| panic!("{name} is free")).release().await.unwrap();
    }
}

/// A store that goes away and comes back.
trait Outage {
    fn stop(&self);
    fn go_on(&self);
    fn kill(&self);
}

impl<P: Program> Outage for ServerProcess<P> {
    fn stop(&self) {
        self.pause().unwrap();
    }
    fn go_on(&self) {
        self.resume().unwrap();
    }
    fn kill(&self) {
        ServerProcess::kill(self);
    }
}

/// All servers of a store.
struct All<'s>(Vec<&'s redis::Server>);

impl Outage for All<'_> {
    fn stop(&self) {
        self.0.iter().for_each(|server| server.stop());
    }
    fn go_on(&self) {
        self.0.iter().for_each(|server| server.go_on());
    }
    fn kill(&self) {
        self.0.iter().for_each(|server| server.kill());
    }
}

/// Another process is inside a transaction, and stands still there.
struct Writer(std::fs::File);

impl Outage for Writer {
    fn stop(&self) {
        self.0.lock().unwrap();
    }
    fn go_on(&self) {
        self.0.unlock().unwrap();
    }
    fn kill(&self) {
        self.stop();
    }
}

fn outage(url: &str, server: &impl Outage) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connect = || async { Client::connect(url).await.unwrap().retry_timeout(RETRY) };
        let (client, other) = (connect().await, connect().await);
        answers_busy_and_free(&client, &other).await;
        server.stop();
        Box::pin(every_verb_fails(&client, "stopped")).await;
        server.go_on();
        let patient = client.clone().retry_timeout(Duration::from_secs(20));
        answers_busy_and_free(&patient, &other.retry_timeout(Duration::from_secs(20))).await;
        server.kill();
        Box::pin(every_verb_fails(&client, "killed")).await;
    });
}

#[test]
fn n18_redis_that_is_away_is_never_busy() {
    let server = redis::Server::start().unwrap();
    outage(&format!("redis://{}", server.address()), &server);
}

#[test]
fn n18_sentinel_whose_servers_are_away_is_never_busy() {
    let kit = redis::Sentinels::start().unwrap();
    outage(&kit.url(), &All((0..3).map(|at| kit.server(at)).collect()));
}

#[test]
fn n18_a_cluster_that_is_away_is_never_busy() {
    let cluster = redis::Cluster::start().unwrap();
    outage(&cluster.url(), &All((0..6).map(|at| cluster.node(at)).collect()));
}

#[test]
fn n18_a_quorum_that_is_away_is_never_busy() {
    let servers: Vec<redis::Server> = (0..3).map(|_| redis::Server::start().unwrap()).collect();
    let addresses: Vec<String> = servers.iter().map(|server| server.address()).collect();
    let url = format!("redlock://{}", addresses.join(","));
    leasehold::block_on(leasehold::diagnose::promote(&url.parse().unwrap())).unwrap().unwrap();
    outage(&url, &All(servers.iter().collect()));
}

#[test]
fn n18_sqlite_whose_writer_stands_still_is_never_busy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let gate = directory.path().join("locks.db-gate");
    let gate = std::fs::File::options().write(true).create(true).truncate(false).open(gate).unwrap();
    outage(&format!("sqlite:{}", path.display()), &Writer(gate));
}

#[test]
fn n18_memcached_that_is_away_is_never_busy() {
    let server = memcached::Server::start().unwrap();
    outage(&server.url(), &server);
}

#[test]
fn n18_etcd_that_is_away_is_never_busy() {
    let member = etcd::Member::start().unwrap();
    outage(&format!("etcd://{}", member.address()), &member);
}

#[test]
fn n18_zookeeper_that_is_away_is_never_busy() {
    let server = zookeeper::Server::start().unwrap();
    outage(&format!("zookeeper://{}", server.address()), &server);
}
