//! The packages of the published crates, as they are uploaded, and a workspace of what is in them.

use std::{fs, io, path::Path, process::Command};

use super::{directory, empty, output, version};
use crate::{files, tidy::published};

/// The members of the workspace beside the crates.
const OTHERS: &[&str] = &["benches", "examples", "xtask"];

/// Packs the published crates, and makes a copy of the workspace in which what was packed stands in their places. The program is
/// built there.
pub(super) fn pack() -> Result<(), String> {
    let crates = published::crates()?;
    let names: Vec<&str> =
        crates.iter().filter(|one| one.is_published()).map(|one| one.name.as_str()).collect();
    output(&mut files::cargo(&["fetch", "--quiet", "--locked"]))?;
    // Cargo would build each crate again, without what the tests have built.
    let mut package = files::cargo(&["package", "--no-verify", "--allow-dirty", "--quiet", "--offline"]);
    for name in &names {
        package.args(["--package", name]);
    }
    output(&mut package)?;
    let tree = directory().join("tree");
    empty(&tree)?;
    for part in OTHERS.iter().chain(&["crates", "Cargo.lock"]) {
        output(Command::new("cp").arg("--recursive").arg(files::root().join(part)).arg(&tree))?;
    }
    for name in &names {
        let place = tree.join("crates").join(name);
        empty(&place)?;
        let file = directory().join(format!("{name}-{}.crate", version()));
        let mut unpack = Command::new("tar");
        unpack.args(["--extract", "--strip-components=1", "--directory"]).arg(&place).arg("--file").arg(file);
        output(&mut unpack)?;
    }
    probe(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    fs::write(tree.join("Cargo.toml"), files::read("Cargo.toml")? + &patches(&names))
        .map_err(|error| format!("{}: {error}", tree.display()))
}

/// The crates depend on each other by version: they are found here, not in the registry.
fn patches(names: &[&str]) -> String {
    let paths = names.iter().map(|name| format!("{name} = {{ path = \"crates/{name}\" }}\n"));
    format!("\n[patch.crates-io]\n{}", paths.collect::<String>())
}

/// A crate with an empty test, which imports the published crate that the program does not.
fn probe(tree: &Path) -> io::Result<()> {
    let probe = tree.join("crates/probe");
    fs::create_dir_all(probe.join("tests"))?;
    fs::create_dir_all(probe.join("src"))?;
    fs::write(probe.join("src/lib.rs"), "")?;
    fs::write(probe.join("tests/probe.rs"), "use leasehold_conformance as _;\n")?;
    let manifest = "[package]\nname = \"probe\"\nedition = \"2024\"\n\n[dev-dependencies]\nleasehold-conformance.workspace = true\n";
    fs::write(probe.join("Cargo.toml"), manifest)
}
