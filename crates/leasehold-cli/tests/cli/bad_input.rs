//! Bad input is refused clearly, before anything is written.

use crate::fixture::Fixture;

#[test]
fn each_slip_is_named_and_nothing_is_written() {
    let long = "x".repeat(513);
    let table: [(&[&str], i32, &str); 32] = [
        (&["run", "--ttl", "0s", "x", "--", "true"], 64, "greater than zero"),
        (&["run", "--ttl", "30", "x", "--", "true"], 64, "a unit is missing: write `30s`"),
        (&["run", "--ttl", "soon", "x", "--", "true"], 64, "write for example"),
        (
            &["run", "--ttl", "8s", "--grace", "5s", "x", "--", "true"],
            64,
            "--grace 5s needs a ttl of at least twice",
        ),
        (&["run", "--ttl", "30s", "--hold-max", "10s", "x", "--", "true"], 64, "shorter than the ttl"),
        (&["run", "--hold-at-least", "2m", "--hold-max", "1m", "x", "--", "true"], 64, "longer than"),
        (&["run", "", "--", "true"], 64, "may not be empty"),
        (&["run", &long, "--", "true"], 64, "at most 512 bytes, this one has 513"),
        (&["run", "--permits", "0", "x", "--", "true"], 64, "0 is not in 1.."),
        (&["run", "rsync", "-a", "x"], 64, "leasehold run NAME -- COMMAND"),
        (&["run", "rsync"], 64, "leasehold run NAME -- COMMAND"),
        (
            &["run", "--store", "localhost:6379", "x", "--", "true"],
            64,
            "did you mean `redis://localhost:6379`?",
        ),
        (&["run", "--store", "h:2379", "x", "--", "true"], 64, "did you mean `etcd://h:2379`?"),
        (&["run", "--store", "locks.db", "x", "--", "true"], 64, "did you mean `sqlite:locks.db`?"),
        (&["run", "--permits", "3", "--shared", "x", "--", "true"], 64, "cannot be used with"),
        (&["run", "--wait", "1s", "--no-wait", "x", "--", "true"], 64, "cannot be used with"),
        (&["run", "--on-lost", "die", "x", "--", "true"], 64, "expected `kill`, `signal:NAME` or `ignore`"),
        (&["run", "--on-lost", "signal:FOO", "x", "--", "true"], 64, "unknown signal; expected a name"),
        (&["run", "x"], 64, "<CMD>"),
        (&["run"], 64, "required"),
        (&["frobnicate"], 64, "unrecognized subcommand"),
        (&["run", "--tll", "5s", "x", "--", "true"], 64, "--ttl"),
        (&["run", "--store", "sqlite:x?tll=5s", "x", "--", "true"], 64, "ttl"),
        (&["run", "--store", "sqlit:x", "x", "--", "true"], 64, "did you mean `sqlite`?"),
        (&["run", "--store", "nonsense", "x", "--", "true"], 64, "error: "),
        (&["run", "--store", "", "x", "--", "true"], 64, "the store is empty"),
        (&["run", "--store", " ", "x", "--", "true"], 64, "the store is empty"),
        (&["run", "--store", "memory:", "x", "--", "true"], 64, "excludes nobody"),
        (&["hold", "--store", "memory:a", "--for", "1m", "x"], 64, "excludes nobody"),
        (&["run", "--store", "quorum:sqlite:a;sqlite:b;memory:c", "x", "--", "true"], 64, "excludes nobody"),
        (&["hold", "x"], 64, "--for"),
        (&["check", "leasehold:x:1"], 64, "is not a sequencer"),
    ];
    let fixture = Fixture::new();
    for (arguments, code, words) in table {
        let finished = fixture.run(arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.starts_with("error: "), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(fixture.path("")).unwrap().count(), 0, "nothing was written");
}

#[test]
fn in_json_an_error_is_one_line_too() {
    let fixture = Fixture::new();
    let finished = fixture.run(&["run", "--json", "", "--", "true"]);
    let error: serde_json::Value = serde_json::from_str(finished.stderr.trim()).unwrap();
    assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &64.into()));
    assert!(error["hint"].as_str().unwrap().contains("name the thing"));
}

#[test]
fn in_json_wrong_options_are_one_line_too() {
    let fixture = Fixture::new();
    for arguments in [&["run", "--json", "--tll", "5s", "x", "--", "true"][..], &["--json", "frobnicate"]] {
        let finished = fixture.run(arguments);
        let error: serde_json::Value = serde_json::from_str(finished.stderr.trim()).unwrap();
        assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &64.into()));
        assert!(!error["hint"].as_str().unwrap().is_empty());
    }
    // The control: the same words after `--` are the command's.
    let finished = fixture.run(&["run", "--tll", "x", "--", "--json"]);
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
}

#[test]
fn a_command_that_was_taken_for_the_name_is_told() {
    let fixture = Fixture::new();
    let finished = fixture.run(&["run", "sh", "no-such-file", "x"]);
    assert_eq!(finished.code, Some(127), "{}", finished.stderr);
    assert!(finished.stderr.contains("`sh` was taken for the name of the lock"), "{}", finished.stderr);
}

#[test]
fn a_ticket_of_another_store_is_told() {
    let fixture = Fixture::new();
    let ticket = fixture.run(&["hold", "x", "--for", "10m"]).stdout;
    let other = format!("sqlite:{}", fixture.path("other.db").display());
    let finished = fixture.run(&["release", "--store", &other, ticket.trim()]);
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    assert!(
        finished.stderr.contains(&format!("is not held by this ticket in {other}")),
        "{}",
        finished.stderr
    );
    assert_eq!(fixture.run(&["release", ticket.trim()]).code, Some(0));
}

#[test]
fn an_unreadable_store_is_told_from_a_missing_one() {
    let fixture = Fixture::new();
    let directory = format!("sqlite:{}", fixture.path("").display());
    let finished = fixture.run(&["run", "--store", &directory, "x", "--", "true"]);
    assert!(
        [Some(64), Some(69), Some(78)].contains(&finished.code),
        "{:?} {}",
        finished.code,
        finished.stderr
    );
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
}

/// A16. An unset variable in a script (`LEASEHOLD_STORE=$STORE`) must not choose a weaker store without a word.
#[test]
fn an_empty_variable_is_no_store_and_an_absent_one_is_the_default_file() {
    let fixture = Fixture::new();
    let run = |change: fn(&mut std::process::Command)| {
        let mut command = fixture.leasehold(&["run", "x", "--", "true"]);
        change(&mut command);
        crate::fixture::finish(&mut command)
    };
    let empty = run(|command| {
        command.env("LEASEHOLD_STORE", "");
    });
    assert_eq!(empty.code, Some(64), "{}", empty.stderr);
    assert!(empty.stderr.contains("the store is empty"), "{}", empty.stderr);
    assert_eq!(std::fs::read_dir(fixture.path("")).unwrap().count(), 0, "nothing was written");
    // The control: without the variable it is the file of this user.
    let absent = run(|command| {
        command.env_remove("LEASEHOLD_STORE");
    });
    assert_eq!(absent.code, Some(0), "{}", absent.stderr);
    assert!(fixture.path(".local/state/leasehold/locks.db").exists());
    assert!(
        absent.stderr.starts_with("no --store and no LEASEHOLD_STORE: using sqlite:"),
        "{}",
        absent.stderr
    );
}

/// A18. A ticket that nobody can read would leave a lock that nobody can release.
#[test]
fn a_ticket_that_cannot_be_written_is_given_back_and_fails() {
    use std::{fs::File, process::Stdio};
    let fixture = Fixture::new();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for (stdout, words) in [(full(), "No space left"), (Stdio::from(closed), "Broken pipe")] {
        let mut command = fixture.leasehold(&["hold", "x", "--for", "10m"]);
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(70), "{stderr}");
        assert!(stderr.contains(words) && stderr.contains("the lock was released"), "{stderr}");
        assert_eq!(fixture.holders("x"), 0, "{words}");
    }
    // Other results that get lost are a failure, too; `| head` is none.
    let mut command = fixture.leasehold(&["stores"]);
    let child = command.stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(70));
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let child = fixture.leasehold(&["stores"]).stdout(closed).spawn().unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    // The control: a ticket that can be read is a hold.
    assert_eq!(fixture.run(&["hold", "x", "--for", "10m"]).code, Some(0));
    assert_eq!(fixture.holders("x"), 1);
}
