//! The image of the static program, and the archive that `cargo binstall` fetches.
//!
//! The Dockerfile is carried out into a directory, which is then the root of the program: nothing else is there.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use super::{as_root, copy, directory, empty, in_root, output, programs, version};
use crate::files;

const DOCKERFILE: &str = "packaging/Dockerfile";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The instructions of a Dockerfile that this project needs; another is an error.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Dockerfile {
    /// Paths in the context and in the image.
    copies: Vec<(String, String)>,
    directory: String,
    user: String,
    entry: String,
}

impl Dockerfile {
    fn parse(text: &str) -> Result<Dockerfile, String> {
        let mut file = Dockerfile::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["FROM", "scratch"] => {}
                ["COPY", from, to] => file.copies.push((from.into(), to.into())),
                ["WORKDIR", directory] => file.directory = directory.into(),
                ["USER", user] => file.user = user.into(),
                ["ENTRYPOINT", words] => {
                    file.entry = words.trim_matches(['[', ']', '"']).into();
                }
                _ => return Err(format!("{DOCKERFILE}: not understood: {line}")),
            }
        }
        Ok(file)
    }
}

/// Makes the context of the image and the archive, and runs the program in the image's root.
pub(super) fn run() -> Result<(), String> {
    let context = directory().join("image");
    make_context(&context)?;
    archive()?;
    let file = Dockerfile::parse(&files::read(DOCKERFILE)?)?;
    let root = directory().join("root");
    empty(&root)?;
    lay_out(&file, &context, &root)?;
    let outcome = try_program(&file, &root);
    output(as_root(&["rm", "--recursive", "--force"])?.arg(&root))?;
    outcome
}

/// The files of the image, and a `/tmp` that every user may write.
fn make_context(context: &Path) -> Result<(), String> {
    empty(context)?;
    copy(&programs::fixed(), &context.join("leasehold"))?;
    copy(Path::new(CERTIFICATES), &context.join("ca-certificates.crt"))?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&files::root().join(license), &context.join("licenses").join(license))?;
    }
    let writable = context.join("root/tmp");
    let made = fs::create_dir_all(&writable);
    made.and_then(|()| fs::set_permissions(&writable, Permissions::from_mode(0o1777)))
        .map_err(|error| format!("{}: {error}", writable.display()))
}

/// Carries out the instructions as Docker does: `COPY` keeps modes and copies what is in a directory, `WORKDIR` makes a
/// directory that is missing.
fn lay_out(file: &Dockerfile, context: &Path, root: &Path) -> Result<(), String> {
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    for (from, to) in &file.copies {
        fs::create_dir_all(inside(to).parent().unwrap_or(root)).map_err(|error| error.to_string())?;
        let mut cp = Command::new("cp");
        cp.args(["--recursive", "--preserve=mode", "--no-target-directory"]);
        output(cp.arg(context.join(from)).arg(inside(to)))?;
    }
    // And what a container runtime mounts.
    for made in [inside(&file.directory), root.join("proc"), root.join("etc")] {
        fs::create_dir_all(made).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Says its version, locks in an SQLite file, resolves a name, and shows the demonstration.
fn try_program(file: &Dockerfile, root: &Path) -> Result<(), String> {
    let run = |words: &[&str]| in_root(root, &file.user, &[&[file.entry.as_str()], words].concat());
    let version = run(&["--version"])?;
    if version.trim() != format!("leasehold {}", super::version()) {
        return Err(format!("the version of the static program is {version}"));
    }
    let store = "sqlite:/tmp/locks.db";
    run(&["run", "--store", store, "image", "--", &file.entry, "--version"])?;
    let shown = run(&["inspect", "--store", store, "image"])?;
    if !shown.contains("free") {
        return Err(format!("the lock is not free after its command: {shown}"));
    }
    let connect = || run(&["list", "--store", "redis://localhost:1"]).err().unwrap_or_default();
    let (without, hosts) = (connect(), root.join("etc/hosts"));
    fs::write(hosts, "127.0.0.1 localhost\n").map_err(|error| error.to_string())?;
    let with = connect();
    if !without.contains("name resolution") || !with.contains("Connection refused") {
        return Err(format!("names without and with /etc/hosts:\n{without}\n{with}"));
    }
    run(&["demo"]).map(drop)
}

/// The archive of the static program, by the names of `[package.metadata.binstall]`.
fn archive() -> Result<(), String> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let name = format!("leasehold-{}-{}", version(), host.trim());
    let inside = directory().join("archive").join(&name);
    empty(&inside)?;
    output(Command::new("cp").arg("--recursive").arg(directory().join("image/.")).arg(&inside))?;
    output(Command::new("cp").arg("--recursive").arg(programs::pages().join(".")).arg(&inside))?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--file"]).arg(directory().join(format!("{name}.tar.gz")));
    tar.args(["--exclude=ca-certificates.crt", "--exclude=root", "--owner=0", "--group=0"]);
    output(tar.arg("--directory").arg(directory().join("archive")).arg(&name)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_is_understood_and_copies_what_is_made() {
        let file = Dockerfile::parse(&files::read(DOCKERFILE).unwrap()).unwrap();
        let made = ["root", "leasehold", "ca-certificates.crt", "licenses"];
        assert!(file.copies.iter().map(|(from, _)| from.as_str()).eq(made), "{file:?}");
        assert!(file.copies.iter().any(|(_, to)| *to == file.entry), "{file:?}");
        assert!(Dockerfile::parse("FROM scratch\nRUN true").unwrap_err().contains("RUN true"));
    }
}
