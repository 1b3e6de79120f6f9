//! Documents say what is so: their links lead somewhere, and the commands they show exist.

use std::fs;

use crate::{
    TASKS,
    files::{self, File},
};

/// Subcommands of cargo that a page may show.
const CARGO: &[&str] = &[
    "add", "bench", "build", "clippy", "deny", "doc", "fmt", "fuzz", "install", "lab", "package", "publish",
    "run", "test", "update", "xtask",
];

pub(super) fn findings() -> Vec<String> {
    let pages = files::files(&[".md"]);
    let links = pages.iter().flat_map(broken_links);
    let for_users = pages.iter().filter(|page| is_for_users(&page.path));
    let commands = for_users.flat_map(|page| {
        let unknown = commands(&page.text).into_iter().filter_map(|command| unknown_command(&command));
        unknown.map(|what| format!("{}: {what}", page.path))
    });
    links.chain(commands).chain(unknown_tests(&pages)).collect()
}

/// Pages whose commands are meant to be typed as they stand; others may speak of a crate that is yet to be written.
fn is_for_users(path: &str) -> bool {
    matches!(path, "README.md" | "CONTRIBUTING.md" | "RELEASING.md") || path.starts_with("docs/book/")
}

/// SAFETY.md names the test that shows each promise, as `module::test`.
fn unknown_tests(pages: &[File]) -> Vec<String> {
    let sources = files::files(&[".rs"]);
    let page = pages.iter().filter(|page| page.path == "SAFETY.md");
    let named = page.flat_map(|page| tests_named(&page.text));
    let missing = named.filter(|test| {
        let (path, name) = test.rsplit_once("::").unwrap_or_default();
        let module = path.rsplit("::").next().unwrap_or_default();
        let (signature, inline) = (format!("fn {name}("), format!("mod {module} {{"));
        let files = [format!("/{module}.rs"), format!("/{module}/")];
        let is_in =
            |file: &&File| files.iter().any(|part| file.path.contains(part)) || file.text.contains(&inline);
        !sources.iter().filter(is_in).any(|file| file.text.contains(&signature))
    });
    missing.map(|test| format!("SAFETY.md: there is no test `{test}`")).collect()
}

fn tests_named(text: &str) -> Vec<&str> {
    let is_path = |code: &&str| {
        code.contains("::")
            && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b))
    };
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path).collect()
}

fn broken_links(page: &File) -> Vec<String> {
    let broken = links(&page.text).into_iter().filter(|link| !leads_somewhere(page, link));
    broken.map(|link| format!("{}: the link `{link}` leads nowhere", page.path)).collect()
}

/// The targets of links and pictures.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for (at, _) in line.match_indices(opening) {
                let target: String =
                    line[at + opening.len()..].chars().take_while(|c| *c != closing).collect();
                found.push(target);
            }
        }
    }
    found
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn leads_somewhere(page: &File, link: &str) -> bool {
    let elsewhere = ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme));
    if elsewhere {
        return true;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => files::root().join(&page.path),
        path => files::root().join(page.directory()).join(path),
    };
    if anchor.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor))
}

/// The names that headings get: small letters, no punctuation, `-` for spaces.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// The `cargo …` commands of code blocks and of `inline code`.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let command = line.trim_start().trim_start_matches("$ ");
            let command = command.split_once("  #").map_or(command, |(command, _)| command);
            found.extend(command.starts_with("cargo ").then(|| command.trim().to_string()));
        } else {
            let inline = line.split('`').skip(1).step_by(2);
            found.extend(inline.filter(|code| code.starts_with("cargo ")).map(str::to_string));
        }
    }
    found
}

/// The error in a command, if there is one.
fn unknown_command(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().skip(1).filter(|word| !word.starts_with('+')).collect();
    let subcommand = words.first().copied().unwrap_or_default();
    if !CARGO.contains(&subcommand) {
        return Some(format!("`{command}`: cargo has no `{subcommand}`"));
    }
    if subcommand == "xtask" {
        let task = words.get(1).copied().unwrap_or_default();
        let known = task.chars().all(char::is_uppercase) || TASKS.iter().any(|(name, ..)| *name == task);
        return (!known).then(|| format!("`{command}`: there is no task `{task}`"));
    }
    let option = |long: &str, short: &str| {
        let at = words.iter().position(|word| *word == long || *word == short)?;
        words.get(at + 1).copied()
    };
    if let Some(package) = option("--package", "-p").filter(|package| !package_exists(package)) {
        return Some(format!("`{command}`: there is no package `{package}`"));
    }
    let after = words.iter().position(|word| *word == "--").and_then(|at| words.get(at + 1));
    let verb = after.filter(|_| subcommand == "run" && option("--package", "-p").is_none())?;
    (!verb_exists(verb)).then(|| format!("`{command}`: the command line has no `{verb}`"))
}

fn package_exists(package: &str) -> bool {
    let root = files::root();
    let beside = matches!(package, "xtask" | "leasehold-examples");
    beside || root.join("crates").join(package).join("Cargo.toml").exists()
}

/// Every verb of the command line is a file.
fn verb_exists(verb: &str) -> bool {
    let verbs = files::root().join("crates/leasehold-cli/src/cmd");
    let name = verb.replace('-', "_");
    verb.starts_with('-') || verbs.join(&name).is_dir() || verbs.join(format!("{name}.rs")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code_and_followed_to_headings() {
        let text = "# The first: a *heading*\nsee [a](b.md), ![c](d.svg)\n```\n[x](y)\n```\n[z](#the-first-a-heading)";
        assert_eq!(links(text), ["b.md", "d.svg", "#the-first-a-heading"]);
        assert_eq!(anchors(text), ["the-first-a-heading"]);
        let page = File { path: "xtask/page.md".into(), text: String::new() };
        assert!(leads_somewhere(&page, "src/main.rs") && leads_somewhere(&page, "https://example.org"));
        assert!(!leads_somewhere(&page, "src/missing.rs") && !leads_somewhere(&page, "#missing"));
    }

    #[test]
    fn tests_are_named_by_their_paths() {
        let text =
            "shown by `lease::tests::it_ends` and `a::b_2`, not `Lease::check` or `lease`\n```\n`x::y`\n```";
        assert_eq!(tests_named(text), ["lease::tests::it_ends", "a::b_2"]);
    }

    #[test]
    fn commands_are_found_and_known_ones_pass() {
        let text =
            "Run `cargo xtask test` now:\n```console\n$ cargo fly --high  # no\ncargo test -p xtask\n```";
        let found = commands(text);
        assert_eq!(found, ["cargo xtask test", "cargo fly --high", "cargo test -p xtask"]);
        let unknown: Vec<bool> = found.iter().map(|command| unknown_command(command).is_some()).collect();
        assert_eq!(unknown, [false, true, false]);
        assert!(
            unknown_command("cargo xtask fly").is_some() && unknown_command("cargo test -p fly").is_some()
        );
        assert!(unknown_command("cargo run --release -- fly").is_some());
    }
}
