//! What must not be left in the tree.

use crate::{
    source,
    tree::{self, File},
};

/// Words that may not stand in code, tests included.
const NEVER: &[(&str, &str)] = &[
    ("#[ignore", "a test that is not run shows nothing"),
    ("todo!", "half done"),
    ("unimplemented!", "half done"),
    ("dbg!", "a left-over"),
];

/// Words that may not stand in code outside of tests.
const NOT_IN_PRODUCTION: &[(&str, &str)] = &[(".unwrap()", "handle it, or prove it in an `expect`")];

/// Beginnings of paths that exist on one machine only. Split, so that this file does not contain them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Use", "rs/")];

pub(super) fn findings() -> Vec<String> {
    let sources = tree::files(&[".rs"]);
    let texts = tree::files(&[".rs", ".md", ".toml", ".sql", ".lua", ".svg", ".sh", "run", ".yml", ".lock"]);
    let words = sources.iter().flat_map(words);
    let paths = texts.iter().flat_map(machine_paths);
    words.chain(paths).chain(lints()).chain(locked_elsewhere(&texts)).collect()
}

fn words(file: &File) -> Vec<String> {
    let code = source::code(&file.text);
    let mut found = hits(file, &code, NEVER);
    if !file.is_test() {
        found.extend(hits(file, &source::without_tests(&code), NOT_IN_PRODUCTION));
    }
    found
}

fn hits(file: &File, code: &str, words: &[(&str, &str)]) -> Vec<String> {
    let all = words.iter().flat_map(|(word, why)| {
        code.match_indices(word).map(move |(at, _)| (source::line_of(code, at), word, why))
    });
    all.map(|(line, word, why)| format!("{}:{line}: `{word}`: {why}", file.path)).collect()
}

fn machine_paths(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| MACHINE_PATHS.iter().any(|path| starts_a_path(line, path)));
    found.map(|(at, _)| format!("{}:{}: a path of one machine", file.path, at + 1)).collect()
}

/// Whether `path` stands in the line as the beginning of a path, not within a longer one or an address.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | '/'))
    })
}

/// Every crate takes the lints of the workspace.
fn lints() -> Vec<String> {
    let manifests = tree::files(&["Cargo.toml"]);
    let members =
        manifests.iter().filter(|file| file.path != "Cargo.toml" && !file.path.starts_with("fuzz/"));
    let without = members.filter(|file| !file.text.contains("[lints]\nworkspace = true"));
    without.map(|file| format!("{}: no `[lints] workspace = true`", file.path)).collect()
}

/// The lock file names the public registry and nothing else.
fn locked_elsewhere(texts: &[File]) -> Vec<String> {
    const PUBLIC: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = texts.iter().filter(|file| file.path == "Cargo.lock");
    let sources = lock.flat_map(|file| file.text.lines()).filter(|line| line.starts_with("source = "));
    sources.filter(|line| *line != PUBLIC).map(|line| format!("Cargo.lock: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn unwrap_is_found_in_production_and_only_there() {
        let text = "/// x.unwrap()\nfn f() { \".unwrap()\"; y.unwrap() }\n#[cfg(test)]\nmod tests { fn g() { z.unwrap() } }";
        assert_eq!(words(&file("crates/x/src/lib.rs", text)).len(), 1);
        assert_eq!(words(&file("crates/x/src/lib/tests.rs", text)).len(), 0);
    }

    #[test]
    fn ignored_tests_and_left_overs_are_found_in_tests_too() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn f() { todo!() }";
        let found = words(&file("crates/x/tests/all.rs", text));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/x/tests/all.rs:2:"), "{found:?}");
    }

    #[test]
    fn paths_of_one_machine_are_found_and_addresses_are_not() {
        let path = MACHINE_PATHS[0];
        assert!(starts_a_path(&format!("see {path}me/x"), path) && starts_a_path(path, path));
        assert!(!starts_a_path(&format!("https://example.org{path}x"), path));
    }
}
