//! Where the interop come from.

use leasehold_testkit::stranger;

use crate::peer::Program;

/// kazoo, in a virtual environment of its own.
pub(crate) fn kazoo() -> Program {
    let place = stranger::python(env!("CARGO_TARGET_TMPDIR"), "kazoo");
    let args = vec!["-B".into(), place.join("peer.py").into()];
    Program { path: place.join("venv/bin/python"), args, role: String::new() }
}

/// Curator, with what it needs, and a program that uses it.
pub(crate) fn curator() -> Program {
    let place = stranger::installed(env!("CARGO_TARGET_TMPDIR"), "curator", "Peer.class", |place| {
        stranger::run(place, "mvn", &["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]);
        stranger::run(place, "javac", &["-cp", "lib/*", "Peer.java"]);
    });
    let classes = format!("{}:{}/lib/*", place.display(), place.display());
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off";
    let args =
        ["-Xms16m", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", quiet, "-cp", &classes, "Peer"];
    Program { path: "java".into(), args: args.map(Into::into).to_vec(), role: String::new() }
}
