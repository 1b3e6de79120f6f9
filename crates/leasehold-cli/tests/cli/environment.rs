//! The environment of the command.

use crate::fixture::{Fixture, finish};

fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_string()
}

#[test]
fn the_command_knows_its_lock() {
    let fixture = Fixture::new();
    let env = fixture.run(&["run", "--ttl", "12s", "a b", "--", "env"]).stdout;
    assert_eq!(value(&env, "LEASEHOLD_NAME"), "a b");
    assert_eq!(value(&env, "LEASEHOLD_TTL_MS"), "12000");
    assert_eq!(value(&env, "LEASEHOLD_STORE"), fixture.store());
    let token = value(&env, "LEASEHOLD_FENCING_TOKEN");
    assert_eq!(value(&env, "LEASEHOLD_SEQUENCER"), format!("leasehold:x:{token}:a%20b"));
    let later = value(&fixture.run(&["run", "a b", "--", "env"]).stdout, "LEASEHOLD_FENCING_TOKEN");
    assert!(later.parse::<u64>().unwrap() > token.parse().unwrap());
}

#[test]
fn the_innermost_lock_wins_and_finds_the_same_store() {
    let fixture = Fixture::new();
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let script = "echo \"$LEASEHOLD_NAME\"; \"$0\" run inner -- sh -c 'echo \"$LEASEHOLD_NAME\"; echo \"$LEASEHOLD_SEQUENCER\"'";
    let store = fixture.store();
    let mut nested =
        fixture.leasehold(&["run", "--store", &store, "outer", "--", "sh", "-c", script, itself]);
    let finished = finish(nested.env_remove("LEASEHOLD_STORE"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[..2], ["outer", "inner"]);
    assert!(lines[2].ends_with(":inner"), "{lines:?}");
    assert!(!fixture.path(".local").exists(), "the inner one used the store of the outer one");
}

#[test]
fn a_nested_run_of_the_same_lock_is_busy_and_names_the_outer_one() {
    let fixture = Fixture::new();
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let finished = fixture.run(&["run", "x", "--", itself, "run", "--no-wait", "x", "--", "true"]);
    assert_eq!(finished.code, Some(75));
    assert!(finished.stderr.contains("held by"), "{}", finished.stderr);
}

#[test]
fn the_default_store_is_private_and_in_the_state_directory() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let mut run = fixture.leasehold(&["run", "x", "--", "true"]);
    assert_eq!(finish(run.env_remove("LEASEHOLD_STORE")).code, Some(0));
    let directory = fixture.path(".local/state/leasehold");
    assert!(directory.join("locks.db").exists());
    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut run = fixture.leasehold(&["run", "x", "--", "true"]);
    let run = run.env_remove("LEASEHOLD_STORE").env("XDG_STATE_HOME", fixture.path("state"));
    assert_eq!(finish(run).code, Some(0));
    assert!(fixture.path("state/leasehold/locks.db").exists());
}

#[test]
fn a_masked_password_is_refused_and_not_used() {
    let fixture = Fixture::new();
    let finished = fixture.run(&["run", "--store", "redis://me:***@127.0.0.1:1", "x", "--", "true"]);
    assert_eq!(finished.code, Some(64));
    assert!(finished.stderr.contains("masked"), "{}", finished.stderr);
}

#[test]
fn no_password_is_ever_shown() {
    let fixture = Fixture::new();
    let url = "redis://me:hunter2@127.0.0.1:1/0?timeout=100ms";
    for arguments in [
        &["run", "-n", "--store", url, "x", "--", "true"][..],
        &["run", "-n", "--json", "--store", url, "x", "--", "true"],
        &["inspect", "--store", url, "x"],
        &["list", "--json", "--store", url],
        &["run", "--store", "redis://me:hunter2@127.0.0.1:1/nonsense", "x", "--", "true"],
        &["run", "--store", "redsi://me:hunter2@127.0.0.1", "x", "--", "true"],
        &["run", "--help"],
    ] {
        let finished = finish(fixture.leasehold(arguments).env("LEASEHOLD_STORE", url));
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!all.contains("hunter2"), "{arguments:?}: {all}");
    }
    // Nor in the note that others read.
    let mut run =
        fixture.start(&["--note-command", "full", "x"], "echo ready; : --password=hunter2; exec sleep 1000");
    assert_eq!(run.line(), "ready");
    let seen = fixture.inspect("x").to_string();
    assert!(!seen.contains("hunter2") && seen.contains("--password=***"), "{seen}");
}
