//! A lost lease stops the command before another can enter.

use rustix::process::Signal;

use crate::fixture::{Fixture, KillOnDrop, now, send, state, until_dead};

const FOREVER: &str = "echo $$; while :; do sleep 0.02; done";

#[test]
fn a_paused_run_is_killed_on_waking_and_says_79() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "1s", "x"], FOREVER);
    let child = run.pids()[0];
    let guardian = run.guardian();
    // As a paused machine: all of them at once.
    [guardian, run.pid(), child].into_iter().for_each(|pid| send(pid, Signal::STOP));
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "true"]);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    assert_eq!(state(child), Some('T'), "a process that is stopped cannot be told");
    [run.pid(), child].into_iter().for_each(|pid| send(pid, Signal::CONT));
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("error: `x`: the lease is lost: its deadline passed"),
        "{}",
        finished.stderr
    );
    until_dead(child);
    send(guardian, Signal::CONT);
    until_dead(guardian);
}

#[test]
fn a_stopped_wrapper_does_not_let_its_command_outlive_the_lease() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "1s", "x"], FOREVER);
    let child = run.pids()[0];
    run.guardian();
    run.send(Signal::STOP);
    // The next holder looks at the command of the last one in its first step: it is dead (a zombie of the wrapper).
    let look = format!("sed -n 's/^State:.\\(.\\).*/\\1/p' /proc/{child}/status");
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "sh", "-c", &look]);
    assert_eq!((next.code, next.stdout.trim()), (Some(0), "Z"), "{}", next.stderr);
    run.send(Signal::CONT);
    assert_eq!(run.end().code, Some(79));
}

/// The lease is valid still when the wrapper goes on in time, but its command was stopped.
#[test]
fn a_command_that_the_guardian_stopped_counts_as_lost() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "6s", "x"], FOREVER);
    let child = run.pids()[0];
    run.guardian();
    run.send(Signal::STOP);
    until_dead(child);
    run.send(Signal::CONT);
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    assert!(finished.stderr.contains("the command was stopped"), "{}", finished.stderr);
}

/// The negative control: without the switch the command goes on while another holds the lock.
#[test]
fn told_to_ignore_the_loss_the_command_overlaps_with_the_next() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "1s", "--on-lost", "ignore", "x"], FOREVER);
    let child = run.pids()[0];
    let _kill = KillOnDrop(child);
    run.guardian();
    run.send(Signal::STOP);
    let look = format!("sed -n 's/^State:.\\(.\\).*/\\1/p' /proc/{child}/status");
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "sh", "-c", &look]);
    assert_eq!(next.code, Some(0));
    assert!(["R", "S", "D"].contains(&next.stdout.trim()), "{}", next.stdout);
    run.send(Signal::CONT);
    send(child, Signal::TERM);
    assert_eq!(run.end().code, Some(79), "even though nothing was done about it");
}

#[test]
fn a_signal_of_ones_own_choice_is_sent_instead() {
    let fixture = Fixture::new();
    let script = "trap 'echo told; exit 0' USR1; echo ready; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--ttl", "10s", "--on-lost", "signal:USR1", "x"], script);
    assert_eq!(run.line(), "ready");
    let forced = fixture.run(&["force-release", "--yes", "x"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert_eq!(run.line(), "told");
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "lost, even though the command said 0: {}", finished.stderr);
}

#[test]
fn force_release_stops_the_command() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["--ttl", "3s", "x"], FOREVER);
    let child = run.pids()[0];
    let forced = fixture.run(&["force-release", "--yes", "x"]);
    assert_eq!(forced.code, Some(0));
    assert!(forced.stderr.starts_with("evicted "), "{}", forced.stderr);
    assert!(forced.stderr.contains(&format!("pid {}", run.pid())), "{}", forced.stderr);
    let finished = run.end();
    assert_eq!(finished.code, Some(79));
    assert!(finished.stderr.contains("released by force"), "{}", finished.stderr);
    until_dead(child);
}

/// The guardian of a wrapper that is stopped, on a store that adds no lock-delay: half a second before the end, not at it.
#[test]
fn a_guardian_kills_before_the_lease_ends() {
    let server = leasehold_testkit::redis::Server::start().unwrap_or_else(|error| panic!("{error}"));
    let (fixture, url) = (Fixture::new(), server.url());
    // Appended: the kill may come between the opening of the file and the write.
    let script = format!("echo $$; while :; do date +%s%N >>{}; done", fixture.path("stamp").display());
    let mut run = fixture.start(&["--store", &url, "--ttl", "10s", "x"], &script);
    let _command = KillOnDrop(run.pids()[0]);
    run.guardian();
    run.send(Signal::STOP);
    let next = fixture.run(&["run", "--store", &url, "--wait", "20s", "x", "--", "date", "+%s%N"]);
    let entered: u64 = next.stdout.trim().parse().unwrap();
    let stamps = std::fs::read_to_string(fixture.path("stamp")).unwrap();
    let last: u64 = stamps.lines().next_back().unwrap().parse().unwrap();
    assert!(entered - last >= 450_000_000, "{} ms", (entered - last) / 1_000_000);
    run.send(Signal::CONT);
    assert_eq!(run.end().code, Some(79));
}

#[test]
fn the_request_to_stop_comes_with_the_grace_that_was_asked_for() {
    let fixture = Fixture::new();
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--ttl", "3s", "--hold-max", "3s", "--grace", "1500ms", "x"], script);
    assert_eq!(run.line(), "ready");
    let begin = now();
    assert_eq!(run.line(), "asked");
    assert!(begin.elapsed().as_secs_f64() < 2.5, "{:?}", begin.elapsed());
    assert_eq!(run.end().code, Some(79));
}

#[test]
fn hold_max_asks_before_it_kills() {
    let fixture = Fixture::new();
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--hold-max", "1s", "x"], script);
    assert_eq!(run.line(), "ready");
    assert_eq!(run.line(), "asked");
    // It ended by itself, in time, with the lease still held; but it was stopped, so its work need not be done.
    assert_eq!(run.end().code, Some(79), "lost, even though the command said 0");
    let mut run =
        fixture.start(&["--hold-max", "600ms", "x"], "trap '' TERM; echo $$; while :; do sleep 0.02; done");
    let child = run.pids()[0];
    assert_eq!(run.end().code, Some(79));
    until_dead(child);
}

#[test]
fn a_long_command_keeps_its_lock() {
    let fixture = Fixture::new();
    // Three times as long as it has without a renewal, and a second for a busy machine to come to one.
    let mut run = fixture.start(&["--ttl", "1500ms", "x"], "echo ready; sleep 5; echo done");
    assert_eq!(run.line(), "ready");
    let next = fixture.run(&["run", "--wait", "3s", "x", "--", "true"]);
    assert_eq!(next.code, Some(75), "{}", next.stderr);
    assert_eq!(run.line(), "done");
    assert_eq!(run.end().code, Some(0));
}

/// C15. The hold is shorter than the time to its first renewal: only the release can find that another one ran beside it. The
/// control is the same command without the other one.
#[test]
fn c15_a_loss_that_only_the_release_finds_is_no_success() {
    let fixture = Fixture::new();
    let go = fixture.path("go");
    let script = format!("echo ready; while [ ! -e {} ]; do sleep 0.02; done", go.display());
    let kept: [&[&str]; 2] = [&["--ttl", "10m", "x"], &["--ttl", "10m", "--hold-at-least", "1h", "x"]];
    for (options, is_evicted, code) in [(kept[0], false, 0), (kept[0], true, 79), (kept[1], true, 79)] {
        let mut run = fixture.start(options, &script);
        assert_eq!(run.line(), "ready");
        if is_evicted {
            assert_eq!(fixture.run(&["force-release", "--yes", "x"]).code, Some(0));
            assert_eq!(fixture.run(&["run", "--no-wait", "x", "--", "true"]).code, Some(0));
        }
        std::fs::write(&go, "").unwrap();
        let finished = run.end();
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(finished.stderr.contains("error: `x`: "), is_evicted, "{}", finished.stderr);
        std::fs::remove_file(&go).unwrap();
    }
}
