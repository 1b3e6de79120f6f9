//! The help, word for word. After a change: `LEASEHOLD_BLESS=1 cargo test --package leasehold-cli --test cli golden`.

use crate::fixture::Fixture;

#[test]
fn help_reads_as_reviewed() {
    let fixture = Fixture::new();
    let bless = std::env::var_os("LEASEHOLD_BLESS").is_some();
    let mut differing = Vec::new();
    for command in [
        "",
        "run",
        "inspect",
        "list",
        "hold",
        "release",
        "force-release",
        "elect",
        "check",
        "doctor",
        "promote",
        "stores",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let finished = crate::fixture::finish(fixture.leasehold(&arguments).env("COLUMNS", "100"));
        assert_eq!(finished.code, Some(0));
        let file = if command.is_empty() { "leasehold".into() } else { command.replace(' ', "-") };
        let path = format!("{}/tests/cli/golden/{file}.txt", env!("CARGO_MANIFEST_DIR"));
        if bless {
            std::fs::write(&path, &finished.stdout).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != finished.stdout {
            differing.push(finished.stdout);
        }
    }
    assert!(differing.is_empty(), "not as reviewed:\n{}", differing.join("\n----\n"));
}
