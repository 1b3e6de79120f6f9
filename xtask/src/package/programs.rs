//! The program, its manual page and its completions.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use super::{Profile, copy, directory, output};
use crate::{files, test::FEATURES};

/// The program that uses the C library of its system.
pub(super) fn dynamic() -> PathBuf {
    directory().join("programs/dynamic/leasehold")
}

/// The program that needs nothing.
pub(super) fn fixed() -> PathBuf {
    directory().join("programs/static/leasehold")
}

/// The manual page and the completions.
pub(super) fn pages() -> PathBuf {
    directory().join("pages")
}

/// The compiler, which links the program alone so that it needs no library. Dependencies are the same for both programs.
const STATIC: &str = r#"#!/bin/sh
case " $* " in *" --crate-name leasehold "*" --crate-type bin "*) set -- "$@" -C target-feature=+crt-static ;; esac
exec "$@"
"#;

/// Builds both programs, and lets the program write its pages.
pub(super) fn build(profile: Profile) -> Result<(), String> {
    let wrapper = directory().join("rustc-static");
    let written = fs::write(&wrapper, STATIC);
    let written = written.and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)));
    written.map_err(|error| format!("{}: {error}", wrapper.display()))?;
    let built = directory().join("built").join(if profile == Profile::Release { "release" } else { "debug" });
    for (program, wrapper) in [(dynamic(), None), (fixed(), Some(&wrapper))] {
        // Cargo does not know that the two differ.
        output(Command::new("touch").arg(directory().join("tree/crates/leasehold-cli/src/main.rs")))?;
        let mut cargo = cargo(profile);
        output(cargo.envs(wrapper.map(|path| ("RUSTC_WRAPPER", path))))?;
        copy(&built.join("leasehold"), &program)?;
        output(Command::new("strip").arg(&program))?;
    }
    let headers = output(Command::new("readelf").arg("--program-headers").arg(fixed()))?;
    if headers.contains("INTERP") {
        return Err(format!("{} is not static:\n{headers}", fixed().display()));
    }
    write_pages()
}

/// A build of the packed crates. What it makes of dependencies is shared with the other builds; its programs are not.
///
/// The programs of a release have the features that users get. Those of the tests have the features of all tests, so that no
/// dependency is built once more.
fn cargo(profile: Profile) -> Command {
    let mut command = files::cargo(&["build", "--quiet", "--offline", "--bin", "leasehold"]);
    match profile {
        Profile::Release => command.args(["--release", "--package", "leasehold-cli"]),
        Profile::Tests => command.args(["--workspace", "--test", "probe"]).args(FEATURES),
    };
    command.arg("--manifest-path").arg(directory().join("tree/Cargo.toml"));
    command.arg("--target-dir").arg(directory().join("built")).env("CARGO_BUILD_BUILD_DIR", files::target());
    command
}

fn write_pages() -> Result<(), String> {
    let pages = pages();
    super::empty(&pages)?;
    let write = |name: &str, args: &[&str]| {
        let page = output(Command::new(dynamic()).args(args))?;
        fs::write(pages.join(name), page).map_err(|error| format!("{name}: {error}"))
    };
    write("leasehold.1", &["man"])?;
    for (name, shell) in [("leasehold.bash", "bash"), ("_leasehold", "zsh"), ("leasehold.fish", "fish")] {
        write(name, &["completions", shell])?;
    }
    fs::copy(files::root().join("CHANGELOG.md"), pages.join("changelog"))
        .map_err(|error| error.to_string())?;
    output(Command::new("gzip").args(["--best", "--no-name", "--keep"]).arg(pages.join("leasehold.1")))?;
    output(Command::new("gzip").args(["--best", "--no-name"]).arg(pages.join("changelog"))).map(drop)
}
