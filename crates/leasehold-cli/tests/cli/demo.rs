//! `leasehold demo`, run as users run it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// A demo whose temporary files are in the given directory.
fn demo(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("demo").args(["--stock", "16"]).args(arguments);
    command.env("TMPDIR", home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn home() -> TempDir {
    tempfile::Builder::new().prefix("leasehold-test-").tempdir().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The processes whose command line has this directory: every worker gets the path of the shop.
fn processes_of(home: &Path) -> Vec<PathBuf> {
    let named = |process: &PathBuf| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(home.to_str().unwrap())
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(named).collect()
}

fn assert_nothing_is_left(home: &Path) {
    assert_eq!(processes_of(home), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(home).unwrap().count(), 0, "files are left");
}

fn round<'v>(result: &'v Value, strategy: &str) -> &'v Value {
    result["rounds"].as_array().unwrap().iter().find(|round| round["strategy"] == strategy).unwrap()
}

#[test]
fn leasehold_is_exact_and_refuses_the_late_write_while_both_controls_oversell() {
    let home = home();
    let output = demo(home.path(), &["--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["proves"], true, "{result}");

    let ours = round(&result, "leasehold");
    assert_eq!(
        (&ours["orders"], &ours["stock_left"], &ours["double_holds"]),
        (&16.into(), &0.into(), &0.into())
    );
    assert_eq!((&ours["exact"], &ours["stale_writes_accepted"]), (&true.into(), &0.into()));
    let refused = &ours["refusals"][0];
    assert!(refused["fence"].as_u64().unwrap() < refused["mark"].as_u64().unwrap(), "{refused}");

    for control in ["no-lock", "naive-lock"] {
        let control = round(&result, control);
        assert!(control["oversold"].as_i64().unwrap() > 0, "{control}");
        assert!(control["double_holds"].as_u64().unwrap() > 0, "{control}");
        assert_eq!(control["exact"], false);
    }
    assert_the_history_is_whole(&result, &output);
    assert_nothing_is_left(home.path());
}

/// The document has the events of all workers, and stderr has the same ones as they happened.
fn assert_the_history_is_whole(result: &Value, output: &Output) {
    let mut live = text(&output.stderr).lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for round in result["rounds"].as_array().unwrap() {
        let events = round["events"].as_array().unwrap();
        for kind in ["ready", "sold-out"] {
            assert_eq!(events.iter().filter(|event| event["event"] == kind).count(), 4, "{kind} in {round}");
        }
        for kind in ["paused", "resumed"] {
            assert_eq!(events.iter().filter(|event| event["event"] == kind).count(), 1, "{kind} in {round}");
        }
        let sold = events.iter().filter(|event| event["event"] == "sold").count();
        assert_eq!(round["orders"], sold, "{round}");
        for event in events {
            let mut event = event.clone();
            event["strategy"] = round["strategy"].clone();
            assert_eq!(live.next(), Some(event));
        }
    }
    assert_eq!(live.next(), None);
}

#[test]
fn without_json_it_is_plain_text() {
    let home = home();
    let output = demo(home.path(), &["--seed", "7"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{stdout}{stderr}");
    for line in [
        "no lock: 4 processes sell 16 items",
        "is stopped before it writes",
        "the shop refuses the write of worker",
    ] {
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
    assert!(stdout.contains("leasehold: 0 oversold, 1 stale write refused (token "), "{stdout}");
    assert_nothing_is_left(home.path());
}

/// Starts a demo and returns when the first worker is stopped.
fn stopped_in_the_middle(home: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = demo(home, &[]).process_group(0).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("SIGSTOP") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before a worker was stopped");
    }
    assert_eq!(processes_of(home).len(), 4);
    (child, stderr)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind_not_even_the_stopped_worker() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let home = home();
        let (mut child, _stderr) = stopped_in_the_middle(home.path());
        // To the whole process group, as a terminal does it.
        kill_process_group(pid(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_nothing_is_left(home.path());
    }
}

#[test]
fn workers_die_with_a_parent_that_is_killed_also_the_stopped_one() {
    let home = home();
    let (mut child, mut stderr) = stopped_in_the_middle(home.path());
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    // The workers have inherited this pipe: it ends when the last of them has.
    stderr.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(processes_of(home.path()), Vec::<PathBuf>::new());
}
