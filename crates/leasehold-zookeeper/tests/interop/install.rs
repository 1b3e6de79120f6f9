//! Where the interop come from.

use leasehold_testkit::{foreign_client, peer::Program};

/// kazoo, in a virtual environment of its own.
pub(crate) fn kazoo() -> Program {
    Program::python(env!("CARGO_TARGET_TMPDIR"), "kazoo")
}

/// Curator, with what it needs, and a program that uses it.
pub(crate) fn curator() -> Program {
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "curator", "Peer.class", |place| {
        foreign_client::run(
            place,
            "mvn",
            &["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
        );
        foreign_client::run(place, "javac", &["-cp", "lib/*", "Peer.java"]);
    });
    let classes = format!("{}:{}/lib/*", place.display(), place.display());
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off";
    let args =
        ["-Xms16m", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", quiet, "-cp", &classes, "Peer"];
    Program { path: "java".into(), args: args.map(Into::into).to_vec(), role: String::new() }
}
