//! The help texts, word for word. After a change: `LEASEHOLD_BLESS=1 cargo test --package leasehold-lab --test command golden`.

use crate::fixture::Fixture;

#[test]
fn help_reads_as_reviewed() {
    let fixture = Fixture::new();
    let bless = std::env::var_os("LEASEHOLD_BLESS").is_some();
    let mut differing = Vec::new();
    for command in ["simulate", "simulate ladder", "simulate list", "simulate matrix", "torture run"] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let finished = crate::fixture::finish(fixture.lab(&arguments).env("COLUMNS", "100"));
        assert_eq!(finished.code, Some(0));
        let path =
            format!("{}/tests/command/golden/{}.txt", env!("CARGO_MANIFEST_DIR"), command.replace(' ', "-"));
        if bless {
            std::fs::write(&path, &finished.stdout).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != finished.stdout {
            differing.push(finished.stdout);
        }
    }
    assert!(differing.is_empty(), "not as reviewed:\n{}", differing.join("\n----\n"));
}
