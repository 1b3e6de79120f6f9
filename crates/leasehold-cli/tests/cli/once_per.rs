//! A command once in each slot of time, on all machines that share a store.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use leasehold_testkit::{clock::Clock, redis::Server};

use crate::fixture::{Finished, Fixture, finish};

const MACHINES: u32 = 50;
const SLOTS: u64 = 20;
const SLOT: Duration = Duration::from_millis(1500);

/// The number of the slot and the time to its end, by a clock that is this far from the true one.
#[expect(clippy::disallowed_methods, reason = "slots are of the calendar")]
fn slot(offset_ms: i64) -> (u64, Duration) {
    let true_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let own_ms = u64::try_from(true_ms).unwrap().saturating_add_signed(offset_ms);
    let slot_ms = u64::try_from(SLOT.as_millis()).unwrap();
    (own_ms / slot_ms, Duration::from_millis(slot_ms - own_ms % slot_ms))
}

#[expect(clippy::disallowed_methods, reason = "cron waits for its time")]
fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// The cron of one machine: starts a command at the begin of each slot by its own clock.
fn cron(fixture: &Fixture, machine: u32, end: u64, arguments: &[&str]) {
    let directory = fixture.path(&format!("{machine}"));
    fs::create_dir_all(&directory).unwrap();
    let clock = Clock::create(&directory).unwrap();
    let offset_ms = i64::from(machine % 21 * 15) - 150;
    clock.set(offset_ms as f64 / 1000.0).unwrap();
    loop {
        let (now, rest) = slot(offset_ms);
        if now >= end {
            return;
        }
        sleep(rest);
        let ended = finish(fixture.leasehold(arguments).envs(clock.variables()));
        // 137 and no code: killed with its command.
        assert!(matches!(ended.code, Some(0 | 137) | None), "{:?} {}", ended.code, ended.stderr);
    }
}

/// Runs a fleet until a slot; answers how often each slot has run.
fn fleet(fixture: &Fixture, machines: u32, slots: u64, arguments: &[&str]) -> BTreeMap<u64, usize> {
    let end = slot(0).0 + slots;
    std::thread::scope(|scope| {
        for machine in 0..machines {
            scope.spawn(move || cron(fixture, machine, end, arguments));
        }
    });
    runs(&fixture.path("runs"))
}

fn runs(file: &Path) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

/// Writes down the slot of its lock's name; in each fourth slot its wrapper is killed then.
fn script(fixture: &Fixture) -> String {
    let runs = fixture.path("runs").display().to_string();
    format!(
        "slot=${{LEASEHOLD_NAME#*@}}; slot=${{slot%%/*}}; echo $slot >> {runs}; \
         [ $((slot % 4)) -ne 0 ] || kill -9 $PPID; sleep 0.05"
    )
}

/// C22.
#[test]
fn c22_fifty_machines_with_skewed_clocks_run_each_slot_once() {
    let (fixture, server) = (Fixture::new(), Server::start().unwrap_or_else(|error| panic!("{error}")));
    let script = script(&fixture);
    let url = server.url();
    let counts = fleet(
        &fixture,
        MACHINES,
        SLOTS + 1,
        &["run", "--store", &url, "--once-per", "1500ms", "job", "--", "sh", "-c", &script],
    );
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let (first, last) = (counts.keys().next().unwrap(), counts.keys().last().unwrap());
    assert!(last - first + 1 >= SLOTS, "{counts:?}");
    assert_eq!(counts.len() as u64, last - first + 1, "a slot was left out: {counts:?}");
    // The control: a lock that is free again when its job is done.
    fs::remove_file(fixture.path("runs")).unwrap();
    let by_clock = format!("echo $(($(date +%s%N) / 1500000000)) >> {}", fixture.path("runs").display());
    let plain =
        ["run", "--store", &url, "--no-wait", "--on-busy", "skip", "job", "--", "sh", "-c", &by_clock];
    let counts = fleet(&fixture, 21, 3, &plain);
    assert!(counts.values().any(|count| *count > 1), "{counts:?}");
}

fn once(fixture: &Fixture, options: &[&str], script: &str) -> Finished {
    fixture.run(&[&["run"], options, &["job", "--", "sh", "-c", script]].concat())
}

#[test]
fn a_slot_is_run_once_and_its_exit_code_passes_through() {
    let fixture = Fixture::new();
    let first = once(&fixture, &["--slot", "2026-11-29"], "echo in; exit 3");
    assert_eq!((first.code, first.stdout.as_str()), (Some(3), "in\n"), "{}", first.stderr);
    let again = once(&fixture, &["--slot", "2026-11-29"], "echo in");
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{}", again.stderr);
    assert!(
        again.stderr.contains("skipped: `job` runs, or has run without success, in this slot on "),
        "{}",
        again.stderr
    );
    let next = once(&fixture, &["--slot", "2026-11-30"], "echo in");
    assert_eq!((next.code, next.stdout.as_str()), (Some(0), "in\n"), "{}", next.stderr);
    let done = once(&fixture, &["--json", "--slot", "2026-11-30"], "echo in");
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("\"event\":\"slot-taken\"") && done.stderr.contains("\"finished\":true"));
}

#[test]
fn a_run_that_failed_or_was_killed_is_repeated_when_that_is_asked_for() {
    let fixture = Fixture::new();
    let retry = |script| once(&fixture, &["--slot", "1", "--retry", "--ttl", "2s"], script);
    assert_eq!(retry("exit 3").code, Some(3));
    let killed = retry("kill -9 $PPID; sleep 60");
    assert_eq!(killed.code, None, "{}", killed.stderr);
    // On SQLite the slot is free again soon after its process has died; until then it is taken.
    let mut again = retry("echo in");
    while again.stdout.is_empty() {
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        again = retry("echo in");
    }
    assert_eq!(retry("echo in").stdout, "", "it has run");
}

#[test]
fn options_that_a_slot_does_not_have_are_refused() {
    let fixture = Fixture::new();
    for options in [
        &["--retry"][..],
        &["--slot", "1", "--once-per", "1m"],
        &["--slot", "1", "--wait", "1m"],
        &["--once-per", "1m", "--shared"],
        &["--once-per", "1m", "--hold-max", "1m"],
        &["--once-per", "0s"],
    ] {
        let refused = once(&fixture, options, "true");
        assert_eq!(refused.code, Some(64), "{options:?}: {}", refused.stderr);
    }
}
