//! The help, word for word. After a change: `LEASEHOLD_BLESS=1 cargo test --package leasehold-cli --test cli golden`.

use std::{path::Path, process::Command};

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
        "watch",
        "top",
        "serve",
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

/// A hint must not name a command that is gone: `promote` once had another name, and `doctor` went on recommending that.
#[test]
fn every_command_that_sources_and_pages_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new("git").args(["ls-files", "*.md", "crates/*/src"]).current_dir(&root).output();
    let is_history = |file: &&str| *file == "CHANGELOG.md" || file.starts_with("docs/adr/");
    let files = String::from_utf8(listed.unwrap().stdout).unwrap();
    let help = Fixture::new().run(&["--help"]).stdout;
    let exists = |verb: &str| help.lines().any(|line| line.split_whitespace().next() == Some(verb));
    assert!(exists("promote") && !exists("vouch"), "the control");
    let mut named = 0;
    for file in files.lines().filter(|file| !is_history(file)) {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        for rest in text.split("`leasehold ").skip(1) {
            let verb: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            assert!(verb.is_empty() || verb.starts_with('-') || exists(&verb), "{file}: leasehold {verb}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
