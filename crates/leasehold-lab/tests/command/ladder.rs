//! `cargo lab simulate ladder`, run as its users run it: real servers, every failure, and what was counted.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::{Finished, Fixture, Running, finish};

/// A ladder whose temporary files are in a directory of the fixture.
fn ladder(fixture: &Fixture, arguments: &[&str]) -> Command {
    let home = fixture.path("tmp");
    fs::create_dir_all(&home).unwrap();
    let mut command = fixture.lab(&["simulate", "ladder"]);
    command.args(arguments).env("TMPDIR", home);
    command
}

fn assert_nothing_is_left(home: &Path) {
    let entries = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(entries.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new(), "files are left");
}

fn cases(finished: &Finished) -> Vec<Value> {
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn every_naive_rung_fails_as_described_and_leasehold_does_not() {
    let fixture = Fixture::new();
    let picture = fixture.path("ladder.svg");
    let finished = finish(&mut ladder(&fixture, &["--json", "--svg", picture.to_str().unwrap()]));
    let cases = cases(&finished);
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for case in &cases {
        assert_eq!(case["proves"], true, "{case}");
        assert!(case["refused_attempts"].as_u64().unwrap() > 0, "the lock never excluded: {case}");
        let rung = case["rung"].as_u64().unwrap();
        *seen.entry(rung).or_default() += 1;
        match rung {
            1 | 2 => {
                assert_eq!((&case["locked_for_ever"], &case["ttl_on_server"]), (&true.into(), &(-1).into()));
            }
            3..=7 => assert_two_were_in_and_nobody_was_told(case),
            _ => assert_nothing_was_lost(case),
        }
        let frees = case["foreign_releases"].as_u64().unwrap();
        assert_eq!(frees, u64::from(matches!(rung, 3 | 4)), "{case}");
    }
    // The clock that jumps needs a C compiler, without which these tests were not built.
    assert_eq!(seen, BTreeMap::from([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2), (8, 3)]));
    assert_is_the_picture(&fs::read_to_string(picture).unwrap(), cases.len());
    assert_nothing_is_left(&fixture.path("tmp"));
}

fn assert_two_were_in_and_nobody_was_told(case: &Value) {
    assert!(case["holders_at_once"].as_u64().unwrap() > 1, "{case}");
    assert!(case["together_ms"].as_f64().unwrap() > 0.0, "{case}");
    assert_eq!(case["told_ms_before_deadline"], Value::Null, "{case}");
    assert!(case["lost_updates"].as_u64().unwrap() > 0, "{case}");
    assert!(!case["observed"].as_array().unwrap().is_empty(), "{case}");
}

fn assert_nothing_was_lost(case: &Value) {
    assert_eq!((&case["lost_updates"], &case["late_writes_accepted"]), (&0.into(), &0.into()), "{case}");
    if case["expected"] == "kept" {
        assert_eq!(case["holders_at_once"], 1, "{case}");
        return;
    }
    assert_eq!(case["late_writes_refused"], 1, "{case}");
    assert!(case["told_ms_before_deadline"].as_f64().unwrap() >= 0.0, "{case}");
    let forgotten = case["expected"] == "forgotten";
    assert!(forgotten || case["holders_at_once"] == 1, "{case}");
}

fn assert_is_the_picture(picture: &str, cases: usize) {
    let document = roxmltree::Document::parse(picture).unwrap();
    let count =
        |class: &str| document.descendants().filter(|it| it.attribute("class") == Some(class)).count();
    assert_eq!(count("lane"), cases);
    // One is in the legend.
    assert_eq!(count("refused"), 3);
}

#[test]
fn one_rung_can_be_played_alone_and_is_a_table_for_people() {
    let fixture = Fixture::new();
    let finished = finish(&mut ladder(&fixture, &["--rung", "5"]));
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains("2 holders at once for"), "{}", finished.stdout);
    assert!(finished.stdout.contains("✗ fails") && !finished.stdout.contains("SETNX"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "rung 5: + compare-and-delete in Lua\n");
    assert_eq!(finish(&mut ladder(&fixture, &["--rung", "9"])).code, Some(64));
    assert_nothing_is_left(&fixture.path("tmp"));
}

#[test]
fn without_redis_it_says_what_to_install() {
    let fixture = Fixture::new();
    let finished = finish(ladder(&fixture, &[]).env("PATH", fixture.path("empty")));
    assert_eq!(finished.code, Some(69));
    assert!(finished.stderr.contains("error: `redis-server` is not installed"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: apt-get install redis-server"), "{}", finished.stderr);
}

#[test]
fn whoever_interrupts_it_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let mut running = Running::start(&mut ladder(&fixture, &["--rung", "8"]));
    assert!(running.message().starts_with("rung 8"));
    running.send(Signal::INT);
    let (code, stderr) = running.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert_nothing_is_left(&fixture.path("tmp"));
}
