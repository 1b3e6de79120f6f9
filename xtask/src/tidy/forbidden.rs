//! Things that must not be in the tree: files that are too long, ignored tests, paths of one machine, and sources of
//! packages other than the public registry. Length and content of functions are clippy's (`clippy.toml`).

use crate::files::{self, File};

const FILE_LINES_MAX: usize = 400;
/// The limit of a `tests.rs` beside its module.
const TEST_FILE_LINES_MAX: usize = 600;
/// The limit of the one crate that may say `unsafe`.
const UNSAFE_LINES_MAX: usize = 40;
const UNSAFE_CRATE: &str = "crates/leasehold-exec/";

/// Beginnings of paths that exist on one machine only. Split, so that this file does not contain them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Use", "rs/")];

/// Names of durations in the place of a format string's argument.
const DURATIONS: &[&str] =
    &["{limit:?}", "{ttl:?}", "{span:?}", "{most:?}", "{timeout:?}", "{elapsed:?}", "{waited:?}", "{left:?}"];
/// Crates whose messages only developers of Leasehold read.
const NOT_FOR_PEOPLE: &[&str] = &["-conformance/", "-testkit/", "-lab/", "xtask/", "benches/"];

pub(super) fn findings() -> Vec<String> {
    let texts = files::files(&[".rs", ".md", ".toml", ".sql", ".lua", ".svg", ".sh", "run", ".yml", ".lock"]);
    let sources = texts.iter().filter(|file| file.path.ends_with(".rs"));
    let sources = sources
        .flat_map(|file| too_long(file).into_iter().chain(ignored_tests(file)).chain(raw_durations(file)));
    let paths = texts.iter().flat_map(machine_paths);
    sources.chain(paths).chain(without_lints(&texts)).chain(foreign_packages(&texts)).collect()
}

/// Sources of crates and of this program; `tests/` directories may be longer.
fn too_long(file: &File) -> Option<String> {
    let counts = file.path.contains("/src/");
    let max = match file.path.as_str() {
        path if path.starts_with(UNSAFE_CRATE) => UNSAFE_LINES_MAX,
        _ if file.is_test() => TEST_FILE_LINES_MAX,
        _ => FILE_LINES_MAX,
    };
    let lines = file.text.lines().count();
    (counts && lines > max).then(|| format!("{}: {lines} lines, at most {max}", file.path))
}

fn ignored_tests(file: &File) -> Vec<String> {
    let ignored = |line: &str| line.trim_start().starts_with("#[ignore");
    hits(file, ignored, "an ignored test: a test that is not run shows nothing")
}

/// Messages for people that show a duration to the nanosecond.
fn raw_durations(file: &File) -> Vec<String> {
    let is_message =
        file.path.contains("/src/") && !NOT_FOR_PEOPLE.iter().any(|part| file.path.contains(part));
    if file.is_test() || !is_message {
        return Vec::new();
    }
    let is_raw = |line: &str| !line.contains("assert") && DURATIONS.iter().any(|name| line.contains(name));
    hits(file, is_raw, "a duration in a message is shown by `env::show`")
}

fn machine_paths(file: &File) -> Vec<String> {
    hits(file, |line| MACHINE_PATHS.iter().any(|path| starts_a_path(line, path)), "a path of one machine")
}

pub(super) fn hits(file: &File, is_hit: impl Fn(&str) -> bool, message: &str) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| is_hit(line));
    lines.map(|(at, _)| format!("{}:{}: {message}", file.path, at + 1)).collect()
}

/// Whether `path` is in the line as the beginning of a path, not within a longer one or an address.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | '/'))
    })
}

/// Every crate inherits the lints of the workspace, among them that `unsafe` is forbidden.
fn without_lints(texts: &[File]) -> Vec<String> {
    let manifests = texts.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let members =
        manifests.filter(|file| !["fuzz/", UNSAFE_CRATE].iter().any(|prefix| file.path.starts_with(prefix)));
    let without = members.filter(|file| !file.text.contains("[lints]\nworkspace = true"));
    without.map(|file| format!("{}: no `[lints] workspace = true`", file.path)).collect()
}

/// The lock file names the public registry and nothing else.
fn foreign_packages(texts: &[File]) -> Vec<String> {
    const PUBLIC: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = texts.iter().filter(|file| file.path == "Cargo.lock");
    let is_foreign = |line: &str| line.starts_with("source = ") && line != PUBLIC;
    lock.flat_map(|file| hits(file, is_foreign, "not from the public registry")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn long_files_are_found() {
        let text = "//\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(
            too_long(&file("crates/x/src/lib.rs", &text)).as_deref(),
            Some("crates/x/src/lib.rs: 401 lines, at most 400")
        );
        assert_eq!(too_long(&file("crates/x/tests/all.rs", &text)), None);
        assert_eq!(too_long(&file("crates/x/src/lib/tests.rs", &text)), None);
    }

    #[test]
    fn ignored_tests_are_found() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn f() { \"#[ignore\"; }";
        let found = ignored_tests(&file("crates/x/tests/all.rs", text));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/x/tests/all.rs:2:"), "{found:?}");
    }

    #[test]
    fn durations_to_the_nanosecond_are_found() {
        let text = "format!(\"none within {limit:?}\")\nassert!(false, \"{ttl:?}\")";
        let found = raw_durations(&file("crates/leasehold-redis/src/lib.rs", text));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(raw_durations(&file("crates/leasehold-lab/src/lib.rs", text)), [""; 0]);
    }

    #[test]
    fn paths_of_one_machine_are_found_and_addresses_are_not() {
        let path = MACHINE_PATHS[0];
        assert!(starts_a_path(&format!("see {path}me/x"), path) && starts_a_path(path, path));
        assert!(!starts_a_path(&format!("https://example.org{path}x"), path));
    }
}
