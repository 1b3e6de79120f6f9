//! Several processes share a database; some are killed, some are stopped.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::{fs, path::PathBuf, time::Duration};

use common::{
    PATIENCE, Peer, acquire, block_on, env, exclusive, fifo, granted, my_role, name, order, say, text,
};
use leasehold_core::{
    Claim, ErrorKind, Interest, LostReason, Moment, Outcome, Queueing, Renewal, Standing, Store,
};
use leasehold_sqlite::{SqliteOptions, SqliteStore};
use rustix::process::Signal;

const TTL: Duration = Duration::from_secs(30);
/// A wake-up comes before it on a busy machine, too; without one, a waiter asks again after a third of its time to live.
const WOKEN: Duration = Duration::from_secs(3);

/// The body of the other processes of these tests: a test that does nothing unless another starts it.
#[test]
fn role() {
    let Some((role, arguments)) = my_role() else { return };
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (role.as_str(), arguments.as_slice()) {
        ("hold", [path, ttl_ms]) => block_on(hold(path, ttl_ms)),
        ("wait", [path]) => block_on(wait(path)),
        ("observe", [path]) => block_on(observe(path)),
        ("hammer", [path]) => block_on(hammer(path)),
        (role, arguments) => panic!("no role {role} {arguments:?}"),
    }
}

fn open(path: &str) -> SqliteStore {
    SqliteStore::open(path, env()).unwrap()
}

fn at(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("locks.db")
}

async fn hold(path: &str, ttl_ms: &str) {
    let store = open(path);
    let claim = fifo("a", Duration::from_millis(ttl_ms.parse().unwrap()));
    say(&format!("held {}", granted(store.claim(&claim).await)));
    while let Some(line) = order() {
        match line.as_str() {
            "release" => say(&format!("{:?}", store.release(&claim).await.unwrap())),
            "renew" => {
                say(&format!("{:?}", store.renew(std::slice::from_ref(&claim)).await.remove(0).unwrap()))
            }
            other => panic!("{other}"),
        }
    }
}

async fn wait(path: &str) {
    let (store, env) = (open(path), env());
    let claim = fifo("a", TTL);
    let token = acquire(&store, &env, &claim, || say("waits")).await.unwrap();
    say(&format!("held {token} {}", env.now().nanos()));
    while order().is_some() {}
    store.close().await.unwrap();
}

async fn observe(path: &str) {
    let (store, env) = (open(path), env());
    let mut wake = store.watch(&name("a"), Interest::Changes).await.unwrap();
    let mut ready = false;
    loop {
        let seen = store.inspect(&name("a")).await.unwrap();
        if seen.holders.is_empty() {
            say(&format!("free {}", env.now().nanos()));
            return;
        }
        if !std::mem::replace(&mut ready, true) {
            say("watches");
        }
        wake.wait().await.unwrap();
    }
}

/// When a process heard, by its own account.
fn moment(words: &str) -> Moment {
    Moment::from_nanos(words.split(' ').next_back().unwrap().parse().unwrap())
}

#[test]
fn a_killed_holder_is_replaced_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let mut holder = Peer::start("hold", &[text(&path), "30000"]);
    holder.expect("held");
    let observer = Peer::start("observe", &[text(&path)]);
    observer.expect("watches");
    let waiter = Peer::start("wait", &[text(&path)]);
    waiter.expect("waits");
    let died = env().now();
    holder.kill();
    let entered = moment(&waiter.expect("held")).since(died);
    assert!(entered < WOKEN, "{entered:?}");
    // Who only tries, and waits for nothing, sees it as well.
    let store = open(text(&path));
    assert!(matches!(block_on(store.claim(&exclusive("a", TTL))).unwrap(), Standing::Held(_)));
    waiter.ends();
    let freed = moment(&observer.expect("free")).since(died);
    assert!(freed < PATIENCE, "{freed:?}");
    granted(block_on(store.claim(&exclusive("a", TTL))));
}

#[test]
fn an_observer_hears_that_the_holder_was_killed_and_so_does_one_who_just_tries() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let store = open(text(&path));
    for _ in 0..5 {
        let mut holder = Peer::start("hold", &[text(&path), "30000"]);
        holder.expect("held");
        let observer = Peer::start("observe", &[text(&path)]);
        observer.expect("watches");
        let died = env().now();
        holder.kill();
        assert!(block_on(store.inspect(&name("a"))).unwrap().holders.is_empty(), "the dead are not shown");
        let mine = exclusive("a", TTL);
        let observed = moment(&observer.expect("free")).since(died);
        assert!(observed < WOKEN, "{observed:?}");
        granted(block_on(store.claim(&mine)));
        block_on(store.release(&mine)).unwrap();
    }
}

#[test]
fn a_stopped_holder_keeps_its_lease_until_the_ttl_and_then_learns_that_it_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let ttl = Duration::from_millis(1500);
    let store = open(text(&path));
    let begin = env().now();
    let mut holder = Peer::start("hold", &[text(&path), "1500"]);
    holder.expect("held");
    holder.stop();
    let waiter = Peer::start("wait", &[text(&path)]);
    waiter.expect("waits");
    assert!(matches!(block_on(store.claim(&exclusive("a", TTL))).unwrap(), Standing::Held(_)), "alive");
    let waited = moment(&waiter.expect("held")).since(begin);
    assert!(waited >= ttl && waited < ttl + Duration::from_secs(2), "{waited:?}");
    holder.signal(Signal::CONT);
    holder.order("renew");
    assert_eq!(holder.hears(), format!("{:?}", Renewal::Gone(LostReason::Gone)));
}

#[test]
fn a_killed_waiter_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let store = open(text(&path));
    let holder = exclusive("a", TTL);
    granted(block_on(store.claim(&holder)));
    let mut waiters: Vec<_> = (0..3)
        .map(|_| {
            let waiter = Peer::start("wait", &[text(&path)]);
            waiter.expect("waits");
            waiter
        })
        .collect();
    waiters[0].kill();
    let released = env().now();
    block_on(store.release(&holder)).unwrap();
    let entered = moment(&waiters[1].expect("held")).since(released);
    assert!(entered < WOKEN, "{entered:?}");
    // Killed while it holds, having come out of the queue.
    let died = env().now();
    waiters[1].kill();
    let entered = moment(&waiters[2].expect("held")).since(died);
    assert!(entered < WOKEN, "{entered:?}");
    assert!(block_on(store.inspect(&name("a"))).unwrap().waiters.is_empty());
}

#[test]
fn a_holder_that_overtook_a_large_take_and_was_killed_lets_it_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let store = open(text(&path));
    block_on(async {
        let permits = |take, queueing| Claim {
            mode: leasehold_core::Mode::Permits { take, of: 3 },
            queueing,
            ..exclusive("semaphore", TTL)
        };
        let first = permits(1, Queueing::Barging);
        granted(store.claim(&first).await);
        let all = permits(3, Queueing::Barging);
        let mut wake = store.watch(&all.name, Interest::Turn(all.id)).await.unwrap();
        assert!(matches!(store.claim(&all).await.unwrap(), Standing::Waiting(_)));
        let mut overtaker = Peer::start("hammer", &[text(&path)]);
        overtaker.order("take");
        while overtaker.hears() != "taken" {}
        let env = env();
        let news = env.until(env.now() + Duration::from_secs(1), wake.wait()).await;
        assert!(news.is_some(), "the waiter is told that somebody overtook it");
        assert!(matches!(store.claim(&all).await.unwrap(), Standing::Waiting(_)));
        store.release(&first).await.unwrap();
        overtaker.kill();
        let news = env.until(env.now() + Duration::from_secs(1), wake.wait()).await;
        assert!(news.is_some(), "the waiter is told that it died");
        granted(store.claim(&all).await);
    });
}

/// Locks and unlocks for ever, or until told to take a permit.
async fn hammer(path: &str) {
    let store = open(path);
    say("hammers");
    let (orders, told) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || {
            while let Some(line) = order() {
                let _ = orders.send(line);
            }
        })
        .unwrap();
    while told.try_recv().is_err() {
        let claim = exclusive("hammered", TTL);
        if let Standing::Granted(_) = store.claim(&claim).await.unwrap() {
            store.release(&claim).await.unwrap();
        }
    }
    let mode = leasehold_core::Mode::Permits { take: 1, of: 3 };
    granted(store.claim(&Claim { mode, ..exclusive("semaphore", TTL) }).await);
    say("taken");
    let _ = told.recv();
}

#[test]
fn a_process_stopped_inside_a_transaction_makes_others_time_out_until_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let mut options = SqliteOptions::default();
    options.timeout = Duration::from_millis(400);
    let store = SqliteStore::open_with(&path, env(), options.clone()).unwrap();
    let peer = Peer::start("hammer", &[text(&path)]);
    peer.expect("hammers");
    let gate = fs::File::open(directory.path().join("locks.db-gate")).unwrap();
    loop {
        peer.stop();
        if gate.try_lock_shared().is_err() {
            break;
        }
        gate.unlock().unwrap();
        peer.signal(Signal::CONT);
    }
    block_on(async {
        let begin = env().now();
        let claim = exclusive("a", TTL);
        let error = store.claim(&claim).await.unwrap_err();
        let took = env().now().since(begin);
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::NotApplied), "{error}");
        assert!(took >= options.timeout && took < options.timeout * 3, "{took:?}");
        assert!(error.to_string().contains(&format!("process {}", peer.pid())), "{error}");
        assert!(error.to_string().contains("stopped"), "{error}");
        assert!(error.hint_text().is_some());
        assert!(store.inspect(&name("a")).await.unwrap().holders.is_empty(), "looking is not blocked");
        let second = SqliteStore::open_with(&path, env(), options.clone()).unwrap();
        assert!(second.list("", 1).await.unwrap().len() <= 1, "nor is opening");
        // A request that was given up is not run later.
        let given_up = store.claim(&claim);
        assert!(env().until(env().now() + Duration::from_millis(50), given_up).await.is_none());
        peer.signal(Signal::CONT);
        let other = exclusive("b", TTL);
        granted(store.claim(&other).await);
        assert!(store.inspect(&name("a")).await.unwrap().holders.is_empty());
        granted(store.claim(&claim).await);
        store.close().await.unwrap();
    });
}

#[test]
fn a_killed_process_inside_a_transaction_leaves_the_database_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let store = open(text(&path));
    for _ in 0..20 {
        let mut peer = Peer::start("hammer", &[text(&path)]);
        peer.expect("hammers");
        peer.kill();
        let claim = exclusive("hammered", TTL);
        granted(block_on(store.claim(&claim)));
        block_on(store.release(&claim)).unwrap();
    }
    let database = rusqlite::Connection::open(&path).unwrap();
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
