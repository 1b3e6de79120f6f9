//! The packages of the distribution that the tests need, and their installation.

use std::{
    collections::BTreeMap,
    env,
    io::{self, IsTerminal},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

/// The packages by their names on Debian and Ubuntu.
const PACKAGES: &str = include_str!("../packages.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    why: String,
    /// The programs that prove that it is installed.
    programs: Vec<String>,
    /// A command that must succeed as well, where programs prove nothing.
    #[serde(default)]
    check: Vec<String>,
    /// Whether the tests of the inner loop need it.
    #[serde(default)]
    quick: bool,
}

/// Installs missing packages; with `quick` those of the inner loop alone.
pub(crate) fn provide(quick: bool) -> Result<(), String> {
    let mut missing: BTreeMap<String, Package> =
        toml::from_str(PACKAGES).map_err(|error| format!("packages.toml: {error}"))?;
    missing.retain(|_, package| (package.quick || !quick) && !package.is_installed());
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.keys().map(String::as_str).collect();
    let by_hand = format!("as root: apt-get install {}", names.join(" "));
    if !is_in_path("apt-get") {
        let needs: Vec<String> = missing.iter().map(|(name, package)| package.need(name)).collect();
        return Err(format!("the tests need programs that are not here:\n  {}", needs.join("\n  ")));
    }
    let as_root =
        become_root().ok_or_else(|| format!("packages that the tests need are missing; {by_hand}"))?;
    for (name, package) in &missing {
        println!("installing {name}: {}", package.why);
    }
    let update = apt_get(&as_root, &["update"]);
    let install = update.and_then(|()| apt_get(&as_root, &[&INSTALL[..], &names[..]].concat()));
    install.map_err(|failure| format!("{failure}; {by_hand}"))?;
    match missing.iter().find(|(_, package)| !package.is_installed()) {
        Some((name, package)) => Err(format!("{} was installed and is still missing", package.need(name))),
        None => Ok(()),
    }
}

impl Package {
    fn is_installed(&self) -> bool {
        self.programs.iter().all(|program| is_in_path(program)) && succeeds(&self.check)
    }

    fn need(&self, name: &str) -> String {
        format!("{} ({}; Debian's package {name})", self.programs.join(", "), self.why)
    }
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether a command succeeds; the empty one does.
fn succeeds(words: &[String]) -> bool {
    let Some((program, args)) = words.split_first() else { return true };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

/// The words before a command that needs root; `None` when that is impossible. sudo may ask for a password only on a
/// terminal.
pub(crate) fn become_root() -> Option<Vec<&'static str>> {
    if Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0) {
        return Some(Vec::new());
    }
    let interactive = io::stdin().is_terminal();
    is_in_path("sudo").then(|| if interactive { vec!["sudo"] } else { vec!["sudo", "--non-interactive"] })
}

/// Runs apt-get; shows its errors, not its progress.
fn apt_get(as_root: &[&str], args: &[&str]) -> Result<(), String> {
    let apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    let words = [as_root, &apt_get[..], args].concat();
    match Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed ({status})", words.join(" "))),
        Err(error) => Err(format!("`{}` could not be started ({error})", words.join(" "))),
    }
}
