//! How long files and functions may be.

use crate::{
    source,
    tree::{self, File},
};

const FILE_LINES_MAX: usize = 400;
/// For a `tests.rs` beside its module.
const TEST_FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that were too long when the rule came, with the length that they may not exceed. Only ever shorter.
const FILES_TOO_LONG: &[(&str, usize)] = &[];

pub(super) fn findings() -> Vec<String> {
    let files: Vec<File> = tree::files(&[".rs"]).into_iter().filter(is_counted).collect();
    let long = files.iter().flat_map(too_long);
    long.chain(stale(&files)).collect()
}

/// Sources of crates and of this program; their `tests/` directories may be as long as the cases are many.
fn is_counted(file: &File) -> bool {
    (file.path.starts_with("crates/") || file.path.starts_with("xtask/")) && file.path.contains("/src/")
}

fn too_long(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    let most = lines_max(file);
    if lines > most {
        found.push(format!("{}: {lines} lines, at most {most}", file.path));
    }
    for function in source::functions(&source::code(&file.text)) {
        if function.lines > FUNCTION_LINES_MAX {
            let (name, length) = (function.name, function.lines);
            found.push(format!(
                "{}:{}: fn {name} has {length} lines, at most {FUNCTION_LINES_MAX}",
                file.path, function.line
            ));
        }
    }
    found
}

fn lines_max(file: &File) -> usize {
    let known = FILES_TOO_LONG.iter().find(|(long, _)| *long == file.path);
    let usual = if file.is_test() { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
    known.map_or(usual, |(_, lines)| *lines)
}

/// Whoever makes a file short enough takes it off the list.
fn stale(files: &[File]) -> Vec<String> {
    let long =
        |path: &str| files.iter().any(|file| file.path == path && file.text.lines().count() > FILE_LINES_MAX);
    let stale = FILES_TOO_LONG.iter().filter(|(path, _)| !long(path));
    stale.map(|(path, _)| format!("{path} keeps the budget now: take it off the list in budget.rs")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_functions_are_found() {
        let body = "    work();\n".repeat(FUNCTION_LINES_MAX);
        let text = format!("fn short() {{}}\nfn long() {{\n{body}}}\n");
        let file = File { path: "crates/x/src/lib.rs".into(), text: text.clone() };
        assert_eq!(too_long(&file), ["crates/x/src/lib.rs:2: fn long has 72 lines, at most 70"]);
        let file = File { path: file.path, text: "//\n".repeat(FILE_LINES_MAX + 1) };
        assert_eq!(too_long(&file), ["crates/x/src/lib.rs: 401 lines, at most 400"]);
        assert!(!is_counted(&File { path: "crates/x/tests/all.rs".into(), text }));
    }
}
