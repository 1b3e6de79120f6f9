//! A command once in each slot of time, on all machines that share a store.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use leasehold_testkit::{clock::Clock, postgres, redis::Server};

use crate::fixture::{Finished, Fixture, finish};

const SLOTS: usize = 20;
const SLOT_MS: u64 = 750;
const EVERY: &str = "750ms";

/// Milliseconds since 1970, by a clock that is this far from the true one.
#[expect(clippy::disallowed_methods, reason = "slots are of the calendar")]
fn calendar_ms(offset_ms: i64) -> u64 {
    let true_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    u64::try_from(true_ms).unwrap().saturating_add_signed(offset_ms)
}

#[expect(clippy::disallowed_methods, reason = "cron waits for its time")]
fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// Machines whose clocks are up to a tenth of a slot off.
struct Fleet<'a> {
    fixture: &'a Fixture,
    machines: u32,
    /// Starts of the command by a machine in a slot, the first one at its begin.
    starts: u64,
    arguments: &'a [&'a str],
}

impl Fleet<'_> {
    /// Runs until this is so. Answers the outputs of the commands that succeeded.
    fn run_until(&self, is_over: impl Fn() -> bool + Sync) -> Vec<String> {
        std::thread::scope(|scope| {
            let is_over = &is_over;
            let cron = |machine| scope.spawn(move || self.cron(machine, is_over));
            let machines: Vec<_> = (0..self.machines).map(cron).collect();
            machines.into_iter().flat_map(|machine| machine.join().unwrap()).collect()
        })
    }

    /// The cron of one machine, by its own clock.
    fn cron(&self, machine: u32, is_over: impl Fn() -> bool) -> Vec<String> {
        let directory = self.fixture.path(&format!("{machine}"));
        fs::create_dir_all(&directory).unwrap();
        let clock = Clock::create(&directory).unwrap();
        let offset_ms = i64::from(machine % 11 * 15) - 75;
        clock.set(offset_ms as f64 / 1000.0).unwrap();
        let mut succeeded = Vec::new();
        while !is_over() {
            let pause_ms = SLOT_MS / self.starts;
            sleep(Duration::from_millis(pause_ms - calendar_ms(offset_ms) % pause_ms));
            let ended = finish(self.fixture.leasehold(self.arguments).envs(clock.variables()));
            match ended.code {
                Some(0) => succeeded.extend([ended.stdout].into_iter().filter(|output| !output.is_empty())),
                // 9: the job failed. 69 and 79: the store was not asked, or the job stopped, in time: this machine is too busy for
                // so short a slot. 137 and no code: killed with its command.
                code => assert!(matches!(code, Some(9 | 69 | 79 | 137) | None), "{code:?} {}", ended.stderr),
            }
        }
        succeeded
    }
}

/// How often each slot stands in a file.
fn slots(file: &Path) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

/// Says the slot of the lock's name, and does this then.
fn script(work: &str) -> String {
    format!("slot=${{LEASEHOLD_NAME#*@}}; slot=${{slot%%/*}}; {work}")
}

/// C22. Fifty machines on Redis, and some on the other stores, in which a slot is held by time alone, or by its process. In each
/// fourth slot the wrapper is killed.
#[test]
fn c22_fifty_machines_with_skewed_clocks_run_each_slot_once() {
    let redis = Server::start().unwrap_or_else(|error| panic!("{error}"));
    std::thread::scope(|scope| {
        scope.spawn(|| runs_each_slot_once(50, Some(redis.url())));
        scope.spawn(|| runs_each_slot_once(8, None));
        scope.spawn(|| {
            let postgres = postgres::Server::start().unwrap_or_else(|error| panic!("{error}"));
            runs_each_slot_once(8, Some(postgres.url()));
        });
        scope.spawn(|| a_plain_lock_runs_a_job_twice(&redis.url()));
    });
}

fn runs_each_slot_once(machines: u32, url: Option<String>) {
    let fixture = Fixture::new();
    let (runs, url) = (fixture.path("runs"), url.unwrap_or_else(|| fixture.store()));
    let work =
        format!("echo $slot >> {}; [ $((slot % 4)) -ne 0 ] || kill -9 $PPID; sleep 0.05", runs.display());
    let script = script(&work);
    let arguments = ["run", "--store", &url, "--once-per", EVERY, "job", "--", "sh", "-c", &script];
    let fleet = Fleet { fixture: &fixture, machines, starts: 1, arguments: &arguments };
    fleet.run_until(|| slots(&runs).len() >= SLOTS);
    let counts = slots(&runs);
    assert!(counts.values().all(|count| *count == 1), "{url}: {counts:?}");
}

/// The control: a lock that is free again when its job is done.
fn a_plain_lock_runs_a_job_twice(url: &str) {
    let fixture = Fixture::new();
    let runs = fixture.path("runs");
    let script = format!("echo $(($(date +%s%N) / 1000000 / {SLOT_MS})) >> {}", runs.display());
    let arguments =
        ["run", "--store", url, "--no-wait", "--on-busy", "skip", "plain", "--", "sh", "-c", &script];
    let fleet = Fleet { fixture: &fixture, machines: 21, starts: 1, arguments: &arguments };
    fleet.run_until(|| slots(&runs).values().any(|count| *count > 1) || slots(&runs).len() > SLOTS);
    assert!(slots(&runs).values().any(|count| *count > 1), "{:?}", slots(&runs));
}

/// The first run of each slot fails, or is killed with its wrapper. The control is the same job without `--retry`.
#[test]
fn a_fleet_repeats_runs_that_failed_and_none_that_succeeded() {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    std::thread::scope(|scope| {
        for url in [Some(server.url()), None] {
            scope.spawn(move || {
                let fixture = Fixture::new();
                let url = url.unwrap_or_else(|| fixture.store());
                assert!(successes(&fixture, &url, "retry", &["--retry"]) > 0);
                assert_eq!(successes(&fixture, &url, "once", &[]), 0);
            });
        }
    });
}

/// Plays until runs have succeeded in five slots; without `--retry`, until five were tried. Answers how many succeeded: each was the
/// last run of its slot.
fn successes(fixture: &Fixture, url: &str, job: &str, options: &[&str]) -> usize {
    let [tries, runs, ends] = ["tries", "runs", "ends"].map(|name| fixture.path(&format!("{job}-{name}")));
    fs::create_dir(&tries).unwrap();
    let work = format!(
        "echo $slot $$ >> {}; mkdir {}/$slot && {{ [ $((slot % 4)) -ne 0 ] || kill -9 $PPID; exit 9; }}; \
         echo $slot >> {}; echo $slot $$",
        runs.display(),
        tries.display(),
        ends.display()
    );
    let script = script(&work);
    let once = ["run", "--store", url, "--once-per", EVERY];
    let arguments = [&once[..], options, &[job, "--", "sh", "-c", &script]].concat();
    let fleet = Fleet { fixture, machines: 8, starts: 4, arguments: &arguments };
    let tried = || fs::read_dir(&tries).unwrap().count();
    let succeeded =
        fleet.run_until(|| slots(&ends).len() >= 5 || options.is_empty() && tried() >= 5).concat();
    let runs = fs::read_to_string(&runs).unwrap();
    let last: BTreeMap<&str, &str> = runs.lines().filter_map(|line| line.split_once(' ')).collect();
    for run in succeeded.lines() {
        let (slot, pid) = run.split_once(' ').unwrap();
        assert_eq!(last[slot], pid, "{slot} ran again: {runs}");
    }
    succeeded.lines().count()
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
        &["--slot", ""],
        &["--slot", "1", "-E", "44"],
    ] {
        let refused = once(&fixture, options, "true");
        assert_eq!(refused.code, Some(64), "{options:?}: {}", refused.stderr);
    }
}
