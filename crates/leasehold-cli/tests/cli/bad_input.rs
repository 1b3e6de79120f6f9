//! Bad input is refused clearly, before anything is written.

use crate::fixture::Fixture;

#[test]
fn each_slip_is_named_and_nothing_is_written() {
    let long = "x".repeat(513);
    let table: [(&[&str], i32, &str); 22] = [
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
        (&["run", "--permits", "0", "x", "--", "true"], 64, "--permits"),
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
