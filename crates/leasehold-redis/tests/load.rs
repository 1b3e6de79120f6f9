//! Many locks, many waiters, many hand-overs. In a program of their own, one after the other: they leave no room for
//! tests that look at the clock.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

use std::{sync::Arc, time::Duration};

use leasehold_core::{LockOptions, Mode, Wait};
use leasehold_testkit::redis::Server;

mod common;
#[path = "faults/fixture.rs"]
mod fixture;

use fixture::{at, engine, lock, name, run, ttl};

/// One case at a time.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Kilobytes of memory that this process has.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).expect("a number")
}

/// Ten thousand names, all held by one client and waited for by another: every waiter is woken, over one subscription.
#[test]
fn ten_thousand_contended_names_lose_no_wake_up() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const NAMES: usize = 10_000;
    const WAIT: Duration = Duration::from_secs(300);
    let server = Server::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        // A third of it, after which a waiter asks again, is longer than it waits: only a wake-up helps. Ten thousand requests take
        // longer than a server that fails is asked again elsewhere.
        let terms = LockOptions { retry_timeout: WAIT, ..ttl(1_800_000) };
        let before = resident_kib();
        let mut holds = Vec::new();
        for at in 0..NAMES {
            holds.push(lock(&one, &format!("lock {at}"), &terms).await);
        }
        let waiters: Vec<_> = (0..NAMES)
            .map(|at| {
                let (two, terms) = (two.clone(), terms.clone());
                tokio::spawn(async move {
                    let text = name(&format!("lock {at}"));
                    let hold = two.acquire(&text, Mode::Exclusive, &terms, Wait::For(WAIT), None).await;
                    hold.unwrap().is_some()
                })
            })
            .collect();
        let queued = || {
            server.command(&["EVAL", "local n = 0 for i = 0, tonumber(ARGV[1]) - 1 do n = n + redis.call('ZCARD', 'leasehold:{lock ' .. i .. '}:queue') end return n", "0", &NAMES.to_string()])
        };
        fixture::eventually(&env, "all waiters in the queues", || async {
            // To count them takes the server as long as some hundred claims.
            env.sleep(Duration::from_millis(200)).await;
            queued().unwrap().int() == Some(i64::try_from(NAMES).unwrap())
        })
        .await;
        let clients = server.command(&["CLIENT", "LIST"]).unwrap();
        let connections = clients.text().unwrap_or_default().lines().count() - 1;
        assert!(connections <= 2 * 3, "{connections} connections of two clients");
        let memory = resident_kib().saturating_sub(before);
        let begin = env.now();
        for hold in holds {
            hold.release().await.unwrap();
        }
        for waiter in waiters {
            assert!(waiter.await.unwrap(), "woken in time");
        }
        eprintln!(
            "{NAMES} contended names: {memory} KiB for holds and waiters, {connections} connections, handed over in {:?}",
            env.now().since(begin)
        );
    });
}

const HAND_OVERS: usize = 100_000;

/// Takes its half of the turns, in a fair queue so that each is a hand-over, and answers how long each took.
async fn take_turns(port: &str) -> Vec<Duration> {
    let (env, engine) = (common::env(), engine(&format!("single={port}")));
    // The timer that mends a lost wake-up comes after a third of it.
    let terms = LockOptions { fair: true, ..ttl(600_000) };
    let mut waits = Vec::with_capacity(HAND_OVERS / 2);
    for _ in 0..HAND_OVERS / 2 {
        let asked = env.now();
        let hold = lock(&engine, "turns", &terms).await;
        waits.push(env.now().since(asked));
        hold.release().await.unwrap();
    }
    waits
}

/// The other process of the case below; by itself it has nothing to do.
#[test]
fn the_other_process_of_the_hand_overs() {
    if let Ok(port) = std::env::var("LEASEHOLD_TURNS_PORT") {
        let waits = run(take_turns(&port));
        let longest = waits.iter().max().copied().unwrap_or_default();
        println!("longest_us={}", longest.as_micros());
    }
}

/// Two processes take turns; no hand-over waits for the timer that would mend a lost wake-up.
#[test]
fn no_hand_over_of_a_hundred_thousand_between_two_processes_waits_for_the_timer() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let server = Server::start().unwrap();
    let port = server.port().to_string();
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "the_other_process_of_the_hand_overs", "--nocapture"]);
    other.env("LEASEHOLD_TURNS_PORT", &port).stdout(std::process::Stdio::piped());
    let other = other.spawn().unwrap();
    let mut waits = run(take_turns(&port));
    let output = other.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let theirs = text.lines().find_map(|line| line.strip_prefix("longest_us=")?.parse::<u64>().ok());
    assert!(output.status.success(), "{text}");
    waits.sort_unstable();
    let (middle, slow) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    let longest = waits.last().copied().unwrap_or_default().max(Duration::from_micros(theirs.unwrap()));
    eprintln!(
        "{HAND_OVERS} hand-overs between two processes: p50 {middle:?}, p99 {slow:?}, the longest {longest:?}"
    );
    assert!(longest < Duration::from_secs(100), "a wake-up was lost and the timer came");
}

/// R1. Many held locks, one task, few calls: none is lost while all are renewed.
#[test]
fn a_hundred_thousand_locks_are_held_at_once() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const LOCKS: usize = 100_000;
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let terms = Arc::new(ttl(60_000));
        let before = resident_kib();
        let mut tasks = Vec::new();
        for part in 0..64 {
            let (engine, terms) = (engine.clone(), terms.clone());
            tasks.push(tokio::spawn(async move {
                let mut holds = Vec::new();
                for at in (part..LOCKS).step_by(64) {
                    holds.push(lock(&engine, &format!("lock {at}"), &terms).await);
                }
                holds
            }));
        }
        let mut holds = Vec::new();
        for task in tasks {
            holds.extend(task.await.unwrap());
        }
        let taken = env.now();
        let memory = resident_kib().saturating_sub(before);
        // A third of the ttl after the last grant all of them have been renewed at least once.
        let oldest = holds.iter().map(|hold| hold.lease().age()).max().unwrap_or_default();
        env.sleep((terms.ttl / 3).saturating_sub(oldest) + Duration::from_secs(5)).await;
        let least = holds.iter().map(|hold| hold.lease().remaining()).min().unwrap_or_default();
        assert!(holds.iter().all(|hold| hold.lease().check().is_ok()));
        eprintln!(
            "{LOCKS} locks held: {memory} KiB, the least time left {least:?} of {:?}, {:?} after the last grant",
            terms.ttl,
            env.now().since(taken)
        );
        engine.close(Duration::from_secs(60)).await.unwrap();
        assert_eq!(server.command(&["EXISTS", "lock 1", "lock 99999"]).unwrap().int(), Some(0));
    });
}

/// Three hundred tokio runtimes, one after the other, use one store: the connection of each ends with it.
#[cfg(target_os = "linux")]
#[test]
fn runtimes_that_have_ended_leave_no_connection_and_no_descriptor() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const RUNTIMES: usize = 300;
    const KEPT: usize = 20;
    // What the process opens for other reasons.
    const OTHERS: usize = 15;
    let server = Server::start().unwrap();
    let engine = engine(&at(&server));
    let used_runtime = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let released = async { lock(&engine, "orders", &ttl(60_000)).await.release().await };
        runtime.block_on(released).unwrap();
        runtime
    };
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let connected = || server.info("clients")["connected_clients"].parse::<usize>().unwrap();
    drop(used_runtime());
    let before = (descriptors(), connected());
    for _ in 0..RUNTIMES {
        drop(used_runtime());
    }
    let after = (descriptors(), connected());
    eprintln!("{RUNTIMES} runtimes: descriptors and connections {before:?}, then {after:?}");
    assert!(after.0 < before.0 + OTHERS, "{} descriptors, then {}", before.0, after.0);
    run(fixture::eventually(&common::env(), "end of the connections", || async {
        connected() < before.1 + OTHERS
    }));
    // The control: runtimes that have not ended keep theirs.
    let kept: Vec<_> = (0..KEPT).map(|_| used_runtime()).collect();
    assert!(descriptors() >= before.0 + KEPT && connected() >= before.1 + KEPT);
    drop(kept);
}
