//! The public API of the published libraries, one item a line in `docs/api`: a change is seen before it is released.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::{
    files,
    tidy::published::{self, Crate},
};

const DIRECTORY: &str = "docs/api";
/// Traits that nobody implements, and of which no list speaks.
const MARKS: &[&str] =
    &["Freeze", "RefUnwindSafe", "StructuralPartialEq", "Unpin", "UnsafeUnpin", "UnwindSafe"];
/// rustdoc, writing JSON. Cargo takes a library for documented when there is a page of it.
const RUSTDOC: &str = r#"#!/bin/sh
RUSTC_BOOTSTRAP=1 rustdoc "$@" || exit
while [ $# -gt 1 ]; do
    case $1 in --crate-name) name=$2 ;; -o) directory=$2 ;; esac
    shift
done
[ -z "$directory" ] || { mkdir -p "$directory/$name" && : >"$directory/$name/index.html"; }
"#;

/// `cargo xtask api [--write]`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    crate::compare_or_write(args, "api", findings, || {
        for (path, list) in lists()? {
            files::write(&path, &list)?;
        }
        Ok(())
    })
}

/// The warnings of rustdoc, and the differences between the code and `docs/api`.
pub(crate) fn findings() -> Vec<String> {
    let lists = match lists() {
        Ok(lists) => lists,
        Err(message) => return vec![message],
    };
    let mut found: Vec<String> = lists
        .iter()
        .flat_map(|(path, list)| differences(path, &files::read(path).unwrap_or_default(), list))
        .collect();
    if !found.is_empty() {
        found.push(
            "is it a breaking change (docs/book/stability.md)? `cargo xtask api --write` writes the lists"
                .into(),
        );
    }
    found
}

fn differences(path: &str, listed: &str, wanted: &str) -> Vec<String> {
    let lines = |text| str::lines(text).collect::<BTreeSet<_>>();
    let (listed, wanted) = (lines(listed), lines(wanted));
    let gone = listed.difference(&wanted).map(|item| format!("{path}: is not there any more: {item}"));
    gone.chain(wanted.difference(&listed).map(|item| format!("{path}: is not listed: {item}"))).collect()
}

/// The list of each published library, by its path.
fn lists() -> Result<Vec<(String, String)>, String> {
    let crates = published::crates()?;
    document()?;
    let libraries = crates.iter().filter(|one| one.is_published() && one.is_library());
    libraries.map(|one| Ok((format!("{DIRECTORY}/{}.txt", one.name), list(one)?))).collect()
}

/// Documents the workspace as JSON; a warning is an error.
///
/// The format is unstable, and rustdoc alone is told that it may use it: with the variable in the environment of the whole
/// build, the build scripts of dependencies would run again.
fn document() -> Result<(), String> {
    let rustdoc =
        wrapper().map_err(|error| format!("the wrapper of rustdoc could not be written: {error}"))?;
    // The command has the name of the library.
    let args =
        ["doc", "--workspace", "--exclude=leasehold-cli", "--exclude=xtask", "--no-deps", "--all-features"];
    let mut command = files::cargo(&args);
    command.arg("--quiet").env("RUSTDOC", rustdoc);
    command.env("RUSTDOCFLAGS", "--deny warnings -Z unstable-options --output-format json");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("cargo doc failed".into()),
    }
}

fn wrapper() -> std::io::Result<PathBuf> {
    let path = files::target().join("rustdoc-json");
    // Cargo looks at its time of change.
    if fs::read_to_string(&path).ok().as_deref() != Some(RUSTDOC) {
        fs::create_dir_all(files::target())?;
        fs::write(&path, RUSTDOC)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

fn list(library: &Crate) -> Result<String, String> {
    let path = files::target().join("doc").join(format!("{}.json", library.name.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(&path).omit_blanket_impls(true).build();
    let api = api.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(lines(api.items().map(ToString::to_string)))
}

/// The items, one a line, without the marks that the compiler sets and without the methods of traits.
fn lines(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    // The beginning of the methods of the trait that the last type implements.
    let mut methods = None;
    for item in items {
        if item.starts_with("impl") {
            methods = item.split_once(" for ").map(|(_, on)| {
                let name = on.split(['<', ' ']).next().unwrap_or_default();
                format!(" {name}::")
            });
            if MARKS.iter().any(|mark| item.contains(&format!("::{mark} for "))) {
                continue;
            }
        } else if methods.as_ref().is_some_and(|methods| item.contains(methods)) {
            continue;
        }
        text.push_str(&item);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_a_changed_and_a_removed_item_are_found() {
        let found = differences(
            "a.txt",
            "pub fn a::f()\npub fn a::g()\n",
            "pub fn a::f(u8)\npub fn a::g()\npub a::T\n",
        );
        assert_eq!(
            found,
            [
                "a.txt: is not there any more: pub fn a::f()",
                "a.txt: is not listed: pub a::T",
                "a.txt: is not listed: pub fn a::f(u8)"
            ]
        );
    }

    #[test]
    fn methods_of_traits_and_marks_of_the_compiler_are_left_out() {
        let items = "pub struct a::T\nimpl a::T\npub fn a::T::new() -> a::T\nimpl core::clone::Clone for a::T\n\
            pub fn a::T::clone(&self) -> a::T\nimpl core::marker::Unpin for a::T\npub fn a::free()\n";
        let listed = lines(items.lines().map(String::from));
        assert_eq!(
            listed,
            "pub struct a::T\nimpl a::T\npub fn a::T::new() -> a::T\nimpl core::clone::Clone for a::T\npub fn a::free()\n"
        );
    }
}
