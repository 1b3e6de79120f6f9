//! The installation of the foreign clients.

use leasehold_testkit::{foreign_client, peer::Program};

/// redis-py, in a virtual environment of its own.
pub(crate) fn redis_py() -> Program {
    Program::python(env!("CARGO_TARGET_TMPDIR"), "redis-py")
}

/// A library of npm with ioredis.
pub(crate) fn node(peer: &str) -> Program {
    let proof = "node_modules/ioredis/package.json";
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), peer, proof, |place| {
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        foreign_client::run(place, "npm", &args);
    });
    Program { path: "node".into(), args: vec![place.join("peer.mjs").into()], role: String::new() }
}

/// A library of Go, in the one program that has all of them.
pub(crate) fn go_redis(library: &str) -> Program {
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "go-redis", "go-redis", |place| {
        foreign_client::run(place, "go", &["build", "-mod=readonly", "-o", "go-redis", "."]);
    });
    Program { path: place.join("go-redis"), args: vec![library.into()], role: String::new() }
}

/// Spring's registry or ShedLock, with what they need.
pub(crate) fn spring(library: &str) -> Program {
    Program::java(env!("CARGO_TARGET_TMPDIR"), "spring", library)
}
