//! `cargo xtask package`: everything that is released, made and tried as users get it.
//!
//! The crates are packed, and the program is built from the unpacked packages: twice, because only a program that shares the C
//! library of its system resolves names as that system does (the Debian package), and only one that shares nothing runs in an
//! empty image. Then both are installed and run.

mod crates;
mod debian;
mod image;
mod programs;
mod system;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use crate::{files, packages};

/// The profile of the programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Profile {
    Release,
    /// That of the tests, whose dependencies are built already.
    Tests,
}

/// `cargo xtask package [--profile-of-tests]`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let profile = match args {
        [] => Profile::Release,
        [word] if word == "--profile-of-tests" => Profile::Tests,
        _ => return Err("usage: cargo xtask package [--profile-of-tests]".into()),
    };
    packages::provide(false)?;
    fs::create_dir_all(directory()).map_err(|error| format!("{}: {error}", directory().display()))?;
    let done = thread::scope(|scope| {
        // Mostly waits for the mirror, while the programs are built.
        let bootstrap = scope.spawn(|| step("a_clean_system_is_made", system::bootstrap));
        let built = step("crates_are_packed", crates::pack)
            .and_then(|()| step("programs_are_built_from_the_packages", || programs::build(profile)));
        bootstrap.join().map_err(|_| "the thread of debootstrap has panicked".to_string())??;
        built?;
        step("the_image_runs_in_an_empty_root", image::run)?;
        step("the_debian_package_is_made", || debian::make(profile))?;
        step("the_debian_package_is_installed_runs_and_leaves_nothing", || system::install(&debian::file()?))
    });
    let counts = if done.is_ok() { "ok. 6 passed; 0 failed" } else { "FAILED. 0 passed; 1 failed" };
    println!("\ntest result: {counts}; what is released is in {}", directory().display());
    done
}

/// Runs a step, which counts as a test, and prints its time.
#[expect(clippy::disallowed_methods, reason = "what a release costs is measured in real time")]
fn step(name: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let begin = Instant::now();
    let outcome = work();
    println!("# {name}: {:.1} s", begin.elapsed().as_secs_f64());
    println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
    outcome
}

/// The directory of everything that is made.
fn directory() -> PathBuf {
    files::target().join("package")
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs a command and answers its output; the error is what it said.
fn output(command: &mut Command) -> Result<String, String> {
    let named = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{named}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{named}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// A command of root, by sudo for others.
fn as_root(words: &[&str]) -> Result<Command, String> {
    let before = packages::become_root().ok_or("a new root directory needs root or sudo")?;
    let words = [&before[..], words].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

/// Runs a command in a new root directory with `/proc`, in namespaces that end with it.
fn in_root(root: &Path, user: &str, words: &[&str]) -> Result<String, String> {
    const ENTER: &str = "mount -t proc proc \"$1/proc\" && exec env --ignore-environment \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp chroot --userspec=\"$2\" \"$1\" \"${@:3}\"";
    let root = root.to_string_lossy();
    let mut command =
        as_root(&["unshare", "--mount", "--pid", "--fork", "bash", "-c", ENTER, "bash", &root, user])?;
    output(command.args(words))
}

/// Makes an empty directory.
fn empty(path: &Path) -> Result<(), String> {
    output(as_root(&["rm", "--recursive", "--force"])?.arg(path))?;
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let parent = to.parent().unwrap_or(to);
    let copied = fs::create_dir_all(parent).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
