//! A clean Debian, in which the package is installed, used and removed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{as_root, directory, empty, in_root, output};
use crate::files;

/// Where dpkg keeps its books, and what it refreshes.
const OF_DPKG: &[&str] = &["/var/lib/dpkg/", "/var/log/", "/var/cache/", "/etc/ld.so.cache", "/proc/"];

/// The clean system, made once.
fn clean() -> PathBuf {
    directory().join("system")
}

/// Makes the smallest system of this distribution, from the mirror that apt uses.
pub(super) fn bootstrap() -> Result<(), String> {
    if clean().exists() {
        return Ok(());
    }
    let (mirror, suite) = mirror()?;
    let half_made = directory().join("system.half-made");
    empty(&half_made)?;
    let mut debootstrap = as_root(&["debootstrap", "--variant=minbase", &suite])?;
    output(debootstrap.arg(&half_made).arg(&mirror))?;
    fs::rename(&half_made, clean()).map_err(|error| format!("{}: {error}", clean().display()))
}

/// The mirror and the name of this release.
fn mirror() -> Result<(String, String), String> {
    let release =
        fs::read_to_string("/etc/os-release").map_err(|error| format!("/etc/os-release: {error}"))?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Identifier: Packages",
    ]);
    let lists = output(&mut command)?;
    let main = format!("{suite} main ");
    let found = lists.lines().find_map(|line| line.strip_prefix(&main));
    found
        .map(|mirror| (mirror.to_string(), suite.to_string()))
        .ok_or_else(|| format!("apt has no list of {suite} main: run apt-get update"))
}

/// Installs the package in a copy of the clean system, uses it, and purges it.
pub(super) fn install(package: &Path) -> Result<(), String> {
    let root = directory().join("installed");
    empty(&root)?;
    output(as_root(&["cp", "--archive"])?.arg(clean().join(".")).arg(&root))?;
    let outcome = use_and_purge(package, &root);
    empty(&root)?;
    outcome
}

fn use_and_purge(package: &Path, root: &Path) -> Result<(), String> {
    let dpkg = |words: &[&str]| in_root(root, "0:0", &[&["dpkg"], words].concat());
    let before = listing(root)?;
    output(as_root(&["cp"])?.arg(package).arg(root.join("leasehold.deb")))?;
    dpkg(&["--install", "/leasehold.deb"])?;
    output(as_root(&["rm"])?.arg(root.join("leasehold.deb")))?;
    let installed = dpkg(&["--listfiles", "leasehold"])?;
    let missing: Vec<String> =
        wanted().into_iter().filter(|path| !installed.lines().any(|it| it == path)).collect();
    if !missing.is_empty() {
        return Err(format!("the package does not have {}", missing.join(", ")));
    }
    let run = |words: &[&str]| in_root(root, "65534:65534", words);
    run(&["leasehold", "--version"])?;
    run(&["gzip", "--test", "/usr/share/man/man1/leasehold.1.gz"])?;
    run(&["bash", "-n", "/usr/share/bash-completion/completions/leasehold"])?;
    run(&["leasehold", "demo"])?;
    dpkg(&["--purge", "leasehold"])?;
    let left: Vec<String> = listing(root)?.difference(&before).cloned().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("the package leaves {}", left.join(", "))) }
}

fn wanted() -> Vec<String> {
    let fixed = [
        "/usr/bin/leasehold",
        "/usr/share/man/man1/leasehold.1.gz",
        "/usr/share/bash-completion/completions/leasehold",
        "/usr/share/zsh/vendor-completions/_leasehold",
        "/usr/share/fish/vendor_completions.d/leasehold.fish",
        "/usr/share/doc/leasehold/copyright",
        "/usr/share/doc/leasehold/changelog.gz",
    ];
    let units = fs::read_dir(files::root().join("packaging/systemd")).into_iter().flatten().flatten();
    let units = units.map(|unit| format!("/usr/lib/systemd/system/{}", unit.file_name().to_string_lossy()));
    fixed.iter().map(ToString::to_string).chain(units).collect()
}

fn listing(root: &Path) -> Result<BTreeSet<String>, String> {
    let found = output(as_root(&["find"])?.arg(root).args(["-xdev", "-printf", "/%P\n"]))?;
    let counts = |path: &&str| !OF_DPKG.iter().any(|part| path.starts_with(part));
    Ok(found.lines().filter(counts).map(String::from).collect())
}
