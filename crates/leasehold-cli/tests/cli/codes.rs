//! Exit codes.

use crate::fixture::{Fixture, finish};

#[test]
fn the_commands_own_code_passes_through() {
    let fixture = Fixture::new();
    for code in [0, 1, 7, 75, 255] {
        let finished = fixture.run(&["run", "x", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(code), ""));
    }
}

#[test]
fn a_signal_is_128_and_its_number() {
    let fixture = Fixture::new();
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("INT", 2)] {
        let finished = fixture.run(&["run", "x", "--", "sh", "-c", &format!("kill -{name} $$")]);
        assert_eq!(finished.code, Some(128 + number), "{name}: {}", finished.stderr);
    }
}

#[test]
fn busy_is_75_unless_told_otherwise() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["y"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let finished = fixture.run(&["run", "--no-wait", "y", "--", "echo", "never"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(75), ""));
    assert!(finished.stderr.starts_with("error: `y` is busy · held by "), "{}", finished.stderr);
    assert!(finished.stderr.contains("\nhint: "), "{}", finished.stderr);
    assert_eq!(fixture.run(&["run", "-n", "-E", "1", "y", "true"]).code, Some(1));
    let skipped = fixture.run(&["run", "--no-wait", "--on-busy", "skip", "y", "--", "false"]);
    assert_eq!(skipped.code, Some(0));
    assert!(skipped.stderr.starts_with("skipped: `y` is busy · held by "), "{}", skipped.stderr);
}

#[test]
fn what_cannot_be_run_is_126_or_127_as_in_shells() {
    let fixture = Fixture::new();
    let not_found = fixture.run(&["run", "x", "--", "no-such-command"]);
    assert_eq!(not_found.code, Some(127));
    assert!(not_found.stderr.starts_with("error: cannot run `no-such-command`: command not found\nhint: "));
    std::fs::write(fixture.path("plain"), "no program").unwrap();
    let path = fixture.path("plain");
    let denied = fixture.run(&["run", "x", "--", path.to_str().unwrap()]);
    assert_eq!(denied.code, Some(126), "{}", denied.stderr);
    assert!(denied.stderr.contains("permission denied"), "{}", denied.stderr);
    // The lock is free again.
    assert_eq!(fixture.run(&["run", "--no-wait", "x", "--", "true"]).code, Some(0));
}

#[test]
fn an_unusable_store_is_69_and_a_foreign_one_78() {
    let fixture = Fixture::new();
    let missing = format!("sqlite:{}", fixture.path("no/such/directory/locks.db").display());
    let finished = fixture.run(&["run", "--no-wait", "--store", &missing, "x", "--", "true"]);
    assert_eq!(finished.code, Some(69), "{}", finished.stderr);
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    std::fs::write(
        fixture.path("foreign"),
        "this is a letter to my aunt, and no database at all".repeat(100),
    )
    .unwrap();
    let foreign = format!("sqlite:{}", fixture.path("foreign").display());
    let finished = fixture.run(&["run", "--store", &foreign, "x", "--", "true"]);
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    let unchanged = std::fs::read_to_string(fixture.path("foreign")).unwrap();
    assert!(unchanged.starts_with("this is a letter"));
}

#[test]
fn two_runs_exclude_each_other() {
    let fixture = Fixture::new();
    let script = format!(
        "mkdir {inside} || exit 99; rmdir {inside}; exit 0",
        inside = fixture.path("inside").display()
    );
    let runs: Vec<_> = (0..8).map(|_| fixture.start(&["--wait", "forever", "x"], &script)).collect();
    for run in runs {
        let finished = run.end();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
}

#[test]
fn stdin_and_stdout_are_the_commands() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("much"), [b'a'; 300_000]).unwrap();
    let much = std::fs::File::open(fixture.path("much")).unwrap();
    let finished = finish(fixture.leasehold(&["run", "x", "--", "cat"]).stdin(much));
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 300_000));
}

#[test]
fn closed_streams_do_no_harm() {
    let fixture = Fixture::new();
    let script = format!("{} run x -- sh -c 'exit 5' <&- >&- 2>&-", env!("CARGO_BIN_EXE_leasehold"));
    let mut shell = std::process::Command::new("sh");
    let finished = finish(shell.args(["-c", &script]).env("LEASEHOLD_STORE", fixture.store()));
    assert_eq!(finished.code, Some(5));
}
