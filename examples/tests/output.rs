//! Each example does what its page says: its output, to the letter.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::process::{Command, Output};

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(program).args(args).output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

#[test]
fn each_event_of_a_webhook_is_acted_on_once() {
    let output = run(env!("CARGO_BIN_EXE_webhook"), &[]);
    let mut lines: Vec<&str> = output.lines().collect();
    let summary = lines.pop();
    assert_eq!(summary, Some("evt-1: 200 done and 200 done before, evt-2: 200 done, later: 200 done before"));
    // In any order.
    lines.sort_unstable();
    assert_eq!(lines, ["acting on evt-1", "acting on evt-2"]);
}

#[test]
fn a_late_write_is_refused_by_the_database() {
    let wanted = "the first worker reads 100, and is paused\n\
        the second worker reads 100, and writes 70\n\
        the first worker writes 50: refused, Some(Stale)\n\
        the balance is 70\n";
    assert_eq!(run(env!("CARGO_BIN_EXE_fenced_writes"), &[]), wanted);
}

#[test]
fn shards_are_shared_by_the_workers_that_are_there() {
    let wanted = "one worker: 8\ntwo workers: 4 and 4\nthe first has ended: 8\n";
    assert_eq!(run(env!("CARGO_BIN_EXE_sharded_workers"), &[]), wanted);
}

#[test]
fn a_job_runs_once_a_slot() {
    assert_eq!(run(env!("CARGO_BIN_EXE_cron"), &[]), "3 nodes, 3 slots, one run in each\n");
}

#[test]
fn a_scheduled_job_runs_on_one_node() {
    assert_eq!(run(env!("CARGO_BIN_EXE_scheduler"), &[]), "3 runs in 3 slots\n");
}

#[test]
fn a_cache_is_filled_once() {
    assert_eq!(run(env!("CARGO_BIN_EXE_stampede"), &[]), "100 requests, 1 query\n");
}

#[test]
fn an_api_sees_no_more_calls_at_once_than_it_allows() {
    let output = run(env!("CARGO_BIN_EXE_rate_limited_api"), &[]);
    assert_eq!(output, "12 calls by 4 workers, 3 at once at most\n");
}

#[test]
fn a_quorum_loses_a_lock_and_the_token_saves_the_data() {
    let wanted = "the first holder has read\n\
        one of three has lost it: held\n\
        another holder: false\n\
        two of three have lost it: the second holder has a higher token: true\n\
        the second holder writes\n\
        the first holder is refused\n";
    assert_eq!(run(env!("CARGO_BIN_EXE_redlock_fencing"), &[]), wanted);
}

#[test]
fn a_lock_is_given_back_by_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("locks.db").display());
    let ticket = run(env!("CARGO_BIN_EXE_hand_over"), &["start", &store]);
    let output = run(env!("CARGO_BIN_EXE_hand_over"), &["finish", &store, ticket.trim_end()]);
    assert_eq!(output, "taken: true\nthe same token: true\nfree: true\n");
}
