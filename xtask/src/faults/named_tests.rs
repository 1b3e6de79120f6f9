//! Tests by their paths: `crate::target::module::test` for those of `tests/`, `crate::module::tests::test` for those beside
//! what they test, `leasehold-conformance::promise::case` for cases that every store has to pass.

use crate::files::File;

pub(super) fn exists(path: &str, sources: &[File]) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let [package, modules @ .., test] = parts.as_slice() else { return false };
    let root = if *package == "xtask" { "xtask".into() } else { format!("crates/{package}") };
    let places = places(&root, modules);
    let mut found = sources.iter().filter(|file| places.contains(&file.path));
    found.any(|file| declares(&file.text, test))
}

/// The files in which these modules may be written.
fn places(root: &str, modules: &[&str]) -> Vec<String> {
    let path = modules.join("/");
    let mut places = vec![
        format!("{root}/src/{path}.rs"),
        format!("{root}/tests/{path}.rs"),
        format!("{root}/tests/{path}/main.rs"),
    ];
    if let [above @ .., "tests"] = modules {
        let above = if above.is_empty() { "lib".into() } else { above.join("/") };
        places.push(format!("{root}/src/{above}.rs"));
        places.push(format!("{root}/src/main.rs"));
    }
    places
}

/// A function of that name, or a line of a macro that makes one: `name: |client| …`.
fn declares(text: &str, test: &str) -> bool {
    text.contains(&format!("fn {test}("))
        || text.lines().any(|line| line.trim_start().starts_with(&format!("{test}: |")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_where_they_are_and_nowhere_else() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let sources = [
            file("crates/a/tests/faults/lost.rs", "fn one() {}\n    two: |client| {}\n"),
            file("crates/a/tests/whole.rs", "fn three() {}"),
            file("crates/a/src/engine.rs", "mod tests { fn four() {} }"),
            file("crates/a/src/engine/tests/revalidation.rs", "fn five() {}"),
        ];
        for test in [
            "a::faults::lost::one",
            "a::faults::lost::two",
            "a::whole::three",
            "a::engine::tests::four",
            "a::engine::tests::revalidation::five",
        ] {
            assert!(exists(test, &sources), "{test}");
        }
        for test in
            ["a::faults::lost::thre", "a::faults::one", "b::faults::lost::one", "a", "one", "a::whole::one"]
        {
            assert!(!exists(test, &sources), "{test}");
        }
    }
}
