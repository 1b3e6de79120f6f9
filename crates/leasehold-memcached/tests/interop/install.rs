//! Where the stranger comes from.

use leasehold_testkit::stranger;

use crate::peer::Program;

/// pymemcache, in a virtual environment of its own.
pub(crate) fn pymemcache() -> Program {
    let place = stranger::python(env!("CARGO_TARGET_TMPDIR"), "pymemcache");
    let args = vec!["-B".into(), place.join("peer.py").into()];
    Program { path: place.join("venv/bin/python"), args, role: String::new() }
}
