//! Where Go's peer comes from: it is built below the target directory, once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The program. Other test programs, of this run or another, wait while it is built.
pub(crate) fn etcd_go() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/etcd-go");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    fs::create_dir_all(&directory).expect("a directory below the target directory");
    let lock = File::create(directory.join("etcd-go.lock")).expect("a file to lock");
    lock.lock().expect("the lock against building twice");
    let (program, stamp) = (directory.join("etcd-go"), directory.join("etcd-go.installed"));
    let files =
        ["go.mod", "go.sum", "main.go"].map(|name| fs::read(source.join(name)).expect("a file of the peer"));
    let wanted = files.concat();
    if program.exists() && fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return program;
    }
    // The one may be there without the other.
    let _ = fs::remove_file(&stamp);
    let mut go = Command::new("go");
    // Exactly the modules that go.sum names.
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(&source);
    let output = go.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("`go build` (cargo xtask test installs it): {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`go build` failed ({}):\n{out}{err}", output.status);
    fs::write(&stamp, wanted).expect("a note that the peer is built");
    program
}
