//! When leasehold itself is killed, the command dies with it and the lock is free at once.

use std::{process::Command, time::Duration};

use rustix::process::Signal;

use crate::fixture::{Fixture, KillOnDrop, Running, is_alive, now, until, until_dead};

const FAMILY: &str = "sleep 1000 & echo $$ $!; wait";

#[test]
fn kill_of_leasehold_kills_the_whole_group_and_frees_the_lock_soon() {
    let fixture = Fixture::new();
    // All are freed; the quickest of some shows how quickly, whatever else this machine does meanwhile.
    let quickest = (0..4).map(|_| freed_after_kill(&fixture)).min().unwrap();
    let lock_delay = Duration::from_secs(1);
    assert!(quickest < lock_delay + Duration::from_millis(100), "{quickest:?}, and the ttl is 30 s");
    assert!(
        quickest >= lock_delay.mul_f64(0.9),
        "{quickest:?}: the guardian has this time to kill the group"
    );
}

/// Each process of the command has the resource locked until the last one has ended, and the next command refuses to wait for it.
const RESOURCE: &str = "exec 9>$RESOURCE; flock --nonblock 9 || { echo overlap; exit 1; }
    sleep 1000 & sh -c 'sleep 1000 & sleep 1000 & wait' & (sleep 1000 & sleep 1000) &
    echo in; wait";

/// Kills the wrapper, again and again, and lets the next one in. `LEASEHOLD_KILL_ROUNDS` plays more of them.
fn no_overlap_after_kills(store: &str, fixture: &Fixture) {
    let rounds = std::env::var("LEASEHOLD_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let start = || {
        let arguments =
            ["run", "--store", store, "--ttl", "1s", "--wait", "forever", "x", "--", "sh", "-c", RESOURCE];
        Running::start(fixture.leasehold(&arguments).env("RESOURCE", fixture.path("resource")))
    };
    let mut run = start();
    assert_eq!(run.line(), "in");
    for round in 0..rounds {
        let mut next = start();
        // Some are killed as soon as they run, and some while the next one waits.
        if round % 2 == 0 {
            assert!(next.stderr_line().starts_with("waiting for `x`"));
        }
        run.send(Signal::KILL);
        assert_eq!(next.line(), "in", "round {round}");
        run = next;
    }
    run.send(Signal::TERM);
}

/// C18. The control is the command of flock, which lives on.
#[test]
fn c18_the_next_command_never_meets_one_whose_wrapper_was_killed() {
    let fixture = Fixture::new();
    no_overlap_after_kills(&fixture.store(), &fixture);
}

#[test]
fn c18_on_redis_too() {
    let server = leasehold_testkit::redis::Server::start().unwrap_or_else(|error| panic!("{error}"));
    no_overlap_after_kills(&server.url(), &Fixture::new());
}

fn freed_after_kill(fixture: &Fixture) -> Duration {
    let mut run = fixture.start(&["--ttl", "30s", "x"], FAMILY);
    let pids = run.pids();
    run.guardian();
    let mut next = fixture.start(&["--wait", "forever", "x"], "echo in");
    until("the waiter", || fixture.waiters("x") == 1);
    let begin = now();
    run.send(Signal::KILL);
    assert_eq!(next.line(), "in");
    let freed_after = begin.elapsed();
    assert!(!pids.into_iter().any(is_alive), "none is left when the next one enters");
    assert!(freed_after < Duration::from_secs(5), "{freed_after:?}");
    assert_eq!(next.end().code, Some(0));
    freed_after
}

/// The negative control: what others do.
#[test]
fn kill_of_flock_leaves_the_command_alive() {
    let fixture = Fixture::new();
    let path = fixture.path("naive");
    let mut naive = Command::new("flock");
    naive.arg("-o").arg(path).args(["sh", "-c", "echo $$; exec sleep 1000"]);
    let mut run = Running::start(&mut naive);
    let pid = run.pids()[0];
    let _kill = KillOnDrop(pid);
    run.send(Signal::KILL);
    until_dead(run.pid());
    assert!(is_alive(pid), "the naive wrapper leaves its command behind");
}

/// The kernel's parent-death signal does it.
#[test]
fn even_a_command_whose_guardian_is_stopped_dies() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["x"], "echo $$; exec sleep 1000");
    let pid = run.pids()[0];
    let guardian = KillOnDrop(run.guardian());
    crate::fixture::send(guardian.0, Signal::STOP);
    run.send(Signal::KILL);
    until_dead(pid);
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "true"]);
    assert_eq!(next.code, Some(0), "a free lock: {}", next.stderr);
}

#[test]
fn a_guardian_that_is_killed_is_replaced() {
    let fixture = Fixture::new();
    // At once, and not at the next renewal, which is minutes away.
    let mut run = fixture.start(&["--ttl", "30m", "x"], FAMILY);
    let pids = run.pids();
    let first = run.guardian();
    crate::fixture::send(first, Signal::KILL);
    until_dead(first);
    until("another guardian", || run.guardian() != first);
    run.send(Signal::KILL);
    pids.into_iter().for_each(until_dead);
}

/// C17. systemd sends its signal to the whole control group, the guardian included; then the wrapper is killed. The control is the
/// naive wrapper above, whose command lives on.
#[test]
fn c17_a_guardian_outlives_signals_that_are_meant_for_all() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "30m", "x"], FAMILY);
    let pids = run.pids();
    let guardian = run.guardian();
    let status = || std::fs::read_to_string(format!("/proc/{guardian}/status")).unwrap_or_default();
    until("its signal mask", || !status().contains("SigBlk:\t0000000000000000"));
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        crate::fixture::send(guardian, signal);
    }
    run.send(Signal::KILL);
    pids.into_iter().for_each(until_dead);
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "true"]);
    assert_eq!(next.code, Some(0), "a free lock: {}", next.stderr);
}

#[test]
fn nothing_is_left_of_a_run_that_ended() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["x"], "echo ready; exec sleep 1000");
    assert_eq!(run.line(), "ready");
    let guardian = run.guardian();
    run.send(Signal::TERM);
    assert_eq!(run.end().code, Some(143));
    until_dead(guardian);
    assert_eq!(fixture.holders("x"), 0);
}
