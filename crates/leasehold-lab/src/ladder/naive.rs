//! The clients of rungs 1 to 7, and the failure that each is known for.

use std::{
    slice::{from_mut, from_ref},
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use leasehold::env::Env;
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Replicated, Server},
};

use super::experiment::{Experiment, Read, SOON, TOGETHER};
use crate::naive_redis::NaiveRedis;

/// The time to live of rungs 1 to 5.
const TTL: Duration = Duration::from_millis(300);
const TTL_MS: &str = "300";
/// The time for which the lock of a crashed holder is watched.
const WATCH: Duration = Duration::from_millis(600);
/// The duration of work that outlives the lock.
const LONG: Duration = Duration::from_millis(500);

const WATCHDOG_KEY: &str = "ladder:6";
const WATCHDOG_TTL: Duration = Duration::from_millis(600);
/// Longer than the life of a lock that is not renewed.
const LONGER: Duration = Duration::from_millis(900);

const REDLOCK_KEY: &str = "ladder:7";
const REDLOCK_TTL: Duration = Duration::from_secs(5);
/// The algorithm's allowance for clock drift: a hundredth of the time to live and 2 ms.
const REDLOCK_DRIFT: Duration = Duration::from_millis(52);
/// Longer than the time to live.
const JUMP_S: f64 = 20.0;

fn clients<const N: usize>(experiment: &Experiment<'_>, key: &str, ids: [&str; N]) -> [NaiveRedis; N] {
    ids.map(|id| NaiveRedis::new(&[experiment.harness.server.address()], key, id, TTL))
}

/// `SETNX`, work, `DEL`: a holder that crashes locks for ever.
pub(super) fn crash_while_held(experiment: &mut Experiment<'_>) -> Result<()> {
    crash(experiment, "ladder:1", |_, _| Ok(()))
}

/// `SETNX`, then `EXPIRE`: a crash between the two locks for ever.
pub(super) fn crash_before_expire(experiment: &mut Experiment<'_>) -> Result<()> {
    crash(experiment, "ladder:2", |client, key| client.call(&["PEXPIRE", key, TTL_MS]).map(drop))
}

fn crash(
    experiment: &mut Experiment<'_>,
    key: &str,
    after_setnx: fn(&mut NaiveRedis, &str) -> Result<()>,
) -> Result<()> {
    let setnx = |client: &mut NaiveRedis| Ok(client.call(&["SETNX", key, "locked"])?.int() == Some(1));
    let [mut first, mut next] = clients(experiment, key, ["A", "B"]);
    experiment.acquire('A', || setnx(&mut first))?;
    drop(first);
    experiment.vanish('A');
    let freed = experiment.wait('B', WATCH, || {
        let granted = setnx(&mut next)?;
        if granted {
            after_setnx(&mut next, key)?;
        }
        Ok(granted)
    })?;
    let ttl = experiment.observe(&mut next, &["TTL", key])?.int();
    let exists = experiment.observe(&mut next, &["EXISTS", key])?.int();
    let counts = &mut experiment.result.counts;
    (counts.ttl_on_server, counts.watched_ms) = (ttl, WATCH.as_millis() as u64);
    counts.locked_for_ever = !freed && ttl == Some(-1) && exists == Some(1);
    Ok(())
}

/// `SET NX PX` … `DEL`: work that outlives the expiry ends by deleting the lock of the next holder.
pub(super) fn bare_delete(experiment: &mut Experiment<'_>) -> Result<()> {
    let key = "ladder:3";
    let [mut first, mut next, mut third] = clients(experiment, key, ["A", "B", "C"]);
    let read = experiment.acquire('A', || first.try_lock())?;
    let done = experiment.env().now() + LONG;
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(());
    }
    let next_read = experiment.read();
    experiment.work(done)?;
    experiment.write_and_end('A', read);
    let deleted = experiment.observe(&mut first, &["DEL", key])?.int() == Some(1);
    experiment.result.counts.foreign_releases += u64::from(deleted);
    third_enters(experiment, &mut third, next_read)?;
    experiment.observe(&mut third, &["DEL", key]).map(drop)
}

/// The release is `GET`, then `DEL`: the lock may change hands between them.
pub(super) fn get_then_delete(experiment: &mut Experiment<'_>) -> Result<()> {
    let key = "ladder:4";
    let [mut first, mut next, mut third] = clients(experiment, key, ["A", "B", "C"]);
    let is_own = |experiment: &mut Experiment<'_>, client: &mut NaiveRedis| {
        let reply = experiment.observe(client, &["GET", key])?;
        anyhow::Ok(reply.text() == Some(client.id.as_str()))
    };
    let read = experiment.acquire('A', || first.try_lock())?;
    experiment.write_and_end('A', read);
    let is_first = is_own(experiment, &mut first)?;
    experiment.vanish('A');
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(());
    }
    let next_read = experiment.read();
    let is_next = is_own(experiment, &mut next)?;
    // The pause is over, and A carries out its decision.
    let deleted = is_first && experiment.observe(&mut first, &["DEL", key])?.int() == Some(1);
    experiment.end('A');
    experiment.result.counts.foreign_releases += u64::from(deleted && is_next);
    third_enters(experiment, &mut third, next_read)
}

/// C enters while B holds, because A has deleted the lock of B.
fn third_enters(experiment: &mut Experiment<'_>, third: &mut NaiveRedis, next_read: Read) -> Result<()> {
    if experiment.wait('C', SOON, || third.try_lock())? {
        let third_read = experiment.read();
        experiment.work(experiment.env().now() + TOGETHER)?;
        experiment.write_and_end('B', next_read);
        experiment.write_and_end('C', third_read);
    }
    Ok(())
}

/// An atomic compare-and-delete frees no lock of another client; but work that outlives the lease is not alone.
pub(super) fn compare_and_delete(experiment: &mut Experiment<'_>) -> Result<()> {
    let key = "ladder:5";
    let [mut first, mut next] = clients(experiment, key, ["A", "B"]);
    let read = experiment.acquire('A', || first.try_lock())?;
    let done = experiment.env().now() + LONG;
    if experiment.wait('B', SOON, || next.try_lock())? {
        experiment.overlap(read, done, key, from_mut(&mut next))?;
        first.compare_and_delete();
        next.compare_and_delete();
    }
    Ok(())
}

fn watched(address: String, id: &str) -> NaiveRedis {
    NaiveRedis::new(&[address], WATCHDOG_KEY, id, WATCHDOG_TTL)
}

/// A watchdog whose renewals fail: nothing stops the work.
pub(super) fn watchdog_is_cut(experiment: &mut Experiment<'_>) -> Result<()> {
    let server = experiment.harness.server.address();
    let network = Proxy::to(&server)?;
    let (mut first, mut next) = (watched(network.address(), "A"), watched(server, "B"));
    let read = experiment.acquire('A', || first.try_lock())?;
    let watchdog = Watchdog::start(watched(network.address(), "A"))?;
    // The purpose of a watchdog: no other client gets the lock, however long the work takes.
    if experiment.wait('B', LONGER, || next.try_lock())? {
        return Ok(());
    }
    network.refuse();
    network.reset_all();
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(());
    }
    let until = experiment.env().now() + TOGETHER;
    experiment.overlap(read, until, WATCHDOG_KEY, from_mut(&mut next))?;
    watchdog.stop(experiment);
    Ok(())
}

/// A watchdog whose master dies before it has replicated the lock.
pub(super) fn watchdog_of_a_dead_master(experiment: &mut Experiment<'_>) -> Result<()> {
    let servers = Replicated::start(1)?;
    let master = || servers.master().address();
    let (mut first, mut next) = (watched(master(), "A"), watched(master(), "B"));
    servers.link(0).hold_replies();
    let read = experiment.acquire('A', || first.try_lock())?;
    let watchdog = Watchdog::start(watched(master(), "A"))?;
    if experiment.wait('B', TOGETHER, || next.try_lock())? {
        return Ok(());
    }
    servers.master().kill();
    servers.failover_to(0)?;
    let mut next = watched(servers.replica(0).address(), "B");
    experiment.observe(&mut next, &["GET", WATCHDOG_KEY])?;
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(());
    }
    let until = experiment.env().now() + WATCHDOG_TTL / 2;
    experiment.overlap(read, until, WATCHDOG_KEY, from_mut(&mut next))?;
    watchdog.stop(experiment);
    Ok(())
}

/// A thread that renews every third of the time to live, as Redisson's does. A failure is counted, and the next renewal
/// uses a new connection.
struct Watchdog {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<(u64, u64)>,
}

impl Watchdog {
    fn start(mut client: NaiveRedis) -> Result<Watchdog> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let (mut renewed, mut failed) = (0, 0);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(WATCHDOG_TTL / 3) {
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

/// A majority of three independent servers, of which one forgets because its clock jumps.
pub(super) fn redlock_clock_jumps(experiment: &mut Experiment<'_>) -> Result<()> {
    let servers = [Server::start()?, Server::builder().clock_shim().start()?, Server::start()?];
    two_majorities(experiment, &servers, |server| server.jump_clock(JUMP_S))
}

/// The same, and it forgets because it restarts without its data.
pub(super) fn redlock_restarts(experiment: &mut Experiment<'_>) -> Result<()> {
    let servers = [Server::start()?, Server::start()?, Server::start()?];
    two_majorities(experiment, &servers, Server::restart)
}

/// The algorithm as published: all servers, a majority, and validity left; else all locks are released.
fn redlock(env: &Env, client: &mut NaiveRedis) -> bool {
    let begin = env.now();
    let votes = client.set();
    let left = REDLOCK_TTL.saturating_sub(env.now().since(begin) + REDLOCK_DRIFT);
    let held = votes.won() && !left.is_zero();
    if !held {
        client.compare_and_delete();
    }
    held
}

fn two_majorities(
    experiment: &mut Experiment<'_>,
    servers: &[Server; 3],
    fail: impl FnOnce(&Server) -> leasehold_testkit::Result<()>,
) -> Result<()> {
    // The first client cannot reach the third server, which Redlock has to tolerate.
    let broken = Proxy::to(&servers[2].address())?;
    broken.refuse();
    let mut addresses = servers.each_ref().map(Server::address);
    let client = |addresses: &[String], id| NaiveRedis::new(addresses, REDLOCK_KEY, id, REDLOCK_TTL);
    let mut observers = addresses.each_ref().map(|address| client(from_ref(address), ""));
    let mut next = client(&addresses, "B");
    addresses[2] = broken.address();
    let mut first = client(&addresses, "A");
    let env = experiment.env();
    let read = experiment.acquire('A', || Ok(redlock(env, &mut first)))?;
    if experiment.wait('B', TOGETHER, || Ok(redlock(env, &mut next)))? {
        return Ok(());
    }
    fail(&servers[1])?;
    if !experiment.wait('B', SOON, || Ok(redlock(env, &mut next)))? {
        return Ok(());
    }
    experiment.overlap(read, env.now() + TOGETHER, REDLOCK_KEY, &mut observers)
}
