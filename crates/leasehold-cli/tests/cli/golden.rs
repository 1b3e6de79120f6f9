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

/// The long options in the help of a command: each begins a line, after a short one at most.
fn options(help: &str) -> Vec<&str> {
    let heads = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("--") || line.get(2..4) == Some(", "));
    let words = heads.filter_map(|line| line.split([' ', ',', '=', '[']).find(|word| word.starts_with("--")));
    words
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| *word != "--help" && *word != "--version")
        .collect()
}

/// The manual page and the completions have every command and every option that the help has.
#[test]
fn the_manual_page_and_the_completions_know_what_the_help_knows() {
    let fixture = Fixture::new();
    let said = |arguments: &[&str]| fixture.run(arguments).stdout;
    let (help, man) = (said(&["--help"]), said(&["man"]).replace('\\', ""));
    let [bash, zsh, fish] = ["bash", "zsh", "fish"].map(|shell| said(&["completions", shell]));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != "help")
        .collect();
    assert!(["run", "top", "watch", "serve"].iter().all(|name| commands.contains(name)), "{commands:?}");
    let mut checked = 0;
    for name in commands {
        let after = |text: &str, head: &str, end: &str| {
            let rest = text.split_once(head).unwrap_or_else(|| panic!("no {head:?}")).1;
            rest.split(end).next().unwrap_or_default().to_string()
        };
        let page = after(&man, &format!(".SH \"LEASEHOLD {}\"\n", name.to_uppercase()), ".SH \"LEASEHOLD");
        let of_bash = after(
            &bash,
            &format!("\n        leasehold__subcmd__{})\n", name.replace('-', "__subcmd__")),
            ";;\n        leasehold",
        );
        let of_zsh = after(&zsh, &format!("({name})\n_arguments"), "\n;;");
        for option in options(&said(&[name, "--help"])) {
            let line = |line: &str| {
                line.contains(&format!("using_subcommand {name}\""))
                    && line.contains(&format!(" -l {}", &option[2..]))
            };
            assert!(page.contains(option), "{name} {option} in the manual page");
            assert!(of_bash.contains(option), "{name} {option} in the completions of bash");
            assert!(of_zsh.contains(option), "{name} {option} in the completions of zsh");
            assert!(fish.lines().any(line), "{name} {option} in the completions of fish");
            checked += 1;
        }
        assert!(!page.contains("--no-such-option"), "the control");
    }
    assert!(checked > 80, "{checked}");
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
