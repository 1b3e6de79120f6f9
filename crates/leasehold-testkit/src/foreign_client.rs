//! Programs that take the same locks with other libraries. Their sources are in `interop/`, and their packages are
//! installed below the target directory, once.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The directory of a peer in Python, with a virtual environment of its own in `venv`.
pub fn python(target: &str, peer: &str) -> PathBuf {
    copied(target, &[peer, "python"], "venv/bin/python", |place| {
        run(place, "python3", &["-m", "venv", "venv"]);
        let pip = place.join("venv/bin/python");
        let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(place, &pip, &[&args[..], &["requirements.txt"]].concat());
    })
}

/// The directory of a peer in Java, with its class `Peer`, and what its `pom.xml` names in `lib`.
pub fn java(target: &str, peer: &str) -> PathBuf {
    installed(target, peer, "Peer.class", |place| {
        run(place, "mvn", &["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]);
        run(place, "javac", &["-cp", "lib/*", "Peer.java"]);
    })
}

/// The directory of a peer, with `proof` in it. It is created again when a file of the peer has changed, or when it was
/// not finished; other test programs wait meanwhile. `target` is the `CARGO_TARGET_TMPDIR` of the test.
pub fn installed(target: &str, peer: &str, proof: &str, install: impl FnOnce(&Path)) -> PathBuf {
    copied(target, &[peer], proof, install)
}

/// As [`installed`], from several directories of `interop`: the peer's own, and what it shares with others.
fn copied(target: &str, sources: &[&str], proof: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop");
    let peer = sources[0];
    let directory = Path::new(target).join("interop");
    fs::create_dir_all(&directory).expect("a directory below the target directory");
    let lock = File::create(directory.join(format!("{peer}.lock"))).expect("a file to lock");
    lock.lock().expect("the lock against installing twice");
    let (place, stamp) = (directory.join(peer), directory.join(format!("{peer}.installed")));
    let files: Vec<_> = sources.iter().flat_map(|source| files(&interop.join(source))).collect();
    let wanted: Vec<u8> = files.iter().flat_map(|(_, text)| text.iter().copied()).collect();
    if place.join(proof).exists() && fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return place;
    }
    // The one may be there without the other.
    let _ = fs::remove_file(&stamp);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir(&place).expect("a directory for the peer");
    for (name, text) in &files {
        fs::write(place.join(name), text).expect("a copy of the peer's file");
    }
    install(&place);
    fs::write(&stamp, wanted).expect("a note that the peer is installed");
    place
}

/// The names and texts of a peer's files, in order.
fn files(source: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let paths = entries.map(|entry| entry.expect("an entry of a directory").path());
    let mut files: Vec<(String, Vec<u8>)> = paths
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a file of the peer"))
        })
        .collect();
    files.sort();
    files
}

/// Runs a program in a directory, to its end.
pub fn run(place: &Path, program: impl AsRef<OsStr>, args: &[&str]) {
    let (program, stdin) = (program.as_ref(), Stdio::null());
    let output = Command::new(program).args(args).current_dir(place).stdin(stdin).output();
    let shown = format!("{} {}", program.display(), args.join(" "));
    let output = output.unwrap_or_else(|error| panic!("`{shown}` (cargo xtask test installs it): {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{shown}` failed ({}):\n{out}{err}", output.status);
}
