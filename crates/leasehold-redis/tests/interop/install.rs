//! The installation of the foreign clients.

use leasehold_testkit::{foreign_client, peer::Program};

/// redis-py, in a virtual environment of its own.
pub(crate) fn redis_py() -> Program {
    Program::python(env!("CARGO_TARGET_TMPDIR"), "redis-py")
}

/// npm redlock with ioredis.
pub(crate) fn node_redlock() -> Program {
    let place = foreign_client::installed(
        env!("CARGO_TARGET_TMPDIR"),
        "node-redlock",
        "node_modules/redlock/package.json",
        |place| {
            let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            foreign_client::run(place, "npm", &args);
        },
    );
    Program { path: "node".into(), args: vec![place.join("peer.mjs").into()], role: String::new() }
}
