//! The Debian package: by the table that cargo-deb reads, with Debian's own tools (docs/adr/0023-packages.md).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{Profile, copy, directory, empty, output, programs, version};
use crate::files;

const CRATE: &str = "crates/leasehold-cli";

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    description: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    deb: Deb,
}

/// The table `[package.metadata.deb]`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Deb {
    name: String,
    maintainer: String,
    section: String,
    priority: String,
    extended_description: String,
    /// From the directory of the crate, into the package, and with which mode.
    assets: Vec<(String, String, String)>,
}

/// The path of the package.
pub(super) fn file() -> Result<PathBuf, String> {
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(directory().join(format!("leasehold_{}_{}.deb", version(), architecture.trim())))
}

/// Makes the package; that of the tests is compressed in less time.
pub(super) fn make(profile: Profile) -> Result<(), String> {
    let text = files::read(&format!("{CRATE}/Cargo.toml"))?;
    let Manifest { package } = toml::from_str(&text).map_err(|error| format!("{CRATE}: {error}"))?;
    let stage = directory().join("debian");
    empty(&stage)?;
    for (from, to, mode) in &package.metadata.deb.assets {
        for from in sources(from)? {
            let name = from.file_name().unwrap_or_default();
            let to = if to.ends_with('/') { stage.join(to).join(name) } else { stage.join(to) };
            copy(&from, &to)?;
            output(Command::new("chmod").arg(mode).arg(&to))?;
        }
    }
    let control = control(&package, &libraries()?, installed_kib(&stage)?)?;
    let path = stage.join("DEBIAN/control");
    let written = fs::create_dir_all(stage.join("DEBIAN")).and_then(|()| fs::write(&path, control));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    let level = if profile == Profile::Release { "-z9" } else { "-z0" };
    let mut build = Command::new("dpkg-deb");
    output(build.args(["--root-owner-group", level, "--build"]).arg(&stage).arg(file()?)).map(drop)
}

/// A file, or with `/*` at the end the files of a directory, which may be missing.
fn sources(path: &str) -> Result<Vec<PathBuf>, String> {
    if let Some(made) = path.strip_prefix("../../target/") {
        return Ok(vec![files::target().join(made)]);
    }
    let from = files::root().join(CRATE).join(path);
    if !path.ends_with("/*") {
        return Ok(vec![from]);
    }
    let entries = fs::read_dir(from.parent().unwrap_or(&from)).into_iter().flatten();
    let mut found = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    found.as_mut().into_iter().for_each(|found| found.sort());
    found.map_err(|error| format!("{path}: {error}"))
}

/// The packages with the libraries of the program.
fn libraries() -> Result<String, String> {
    // dpkg-shlibdeps insists on the source of a package around it.
    let source = directory().join("source/debian");
    empty(&source)?;
    fs::write(source.join("control"), "Source: leasehold\n").map_err(|error| error.to_string())?;
    let mut command = Command::new("dpkg-shlibdeps");
    command.current_dir(source.parent().unwrap_or(&source)).arg("-O").arg(programs::dynamic());
    let depends = output(&mut command)?;
    depends.trim().strip_prefix("shlibs:Depends=").map(str::to_string).ok_or(depends)
}

fn installed_kib(stage: &Path) -> Result<u64, String> {
    let usage = output(Command::new("du").args(["--summarize", "--block-size=1024"]).arg(stage))?;
    usage.split_whitespace().next().and_then(|kib| kib.parse().ok()).ok_or(usage)
}

fn control(package: &Package, depends: &str, installed_kib: u64) -> Result<String, String> {
    let Deb { name, maintainer, section, priority, extended_description, .. } = &package.metadata.deb;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let long: Vec<String> = extended_description.lines().map(|line| format!(" {line}")).collect();
    Ok(format!(
        "Package: {name}\nVersion: {}\nArchitecture: {}\nMaintainer: {maintainer}\nInstalled-Size: {installed_kib}\n\
         Depends: {depends}\nSection: {section}\nPriority: {priority}\nDescription: {}\n{}\n",
        version(),
        architecture.trim(),
        package.description,
        long.join("\n"),
    ))
}
