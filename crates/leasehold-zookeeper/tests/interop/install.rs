//! Where the interop come from.

use leasehold_testkit::peer::Program;

/// kazoo, in a virtual environment of its own.
pub(crate) fn kazoo() -> Program {
    Program::python(env!("CARGO_TARGET_TMPDIR"), "kazoo")
}

/// Curator, with what it needs, and a program that uses it.
pub(crate) fn curator() -> Program {
    Program::java(env!("CARGO_TARGET_TMPDIR"), "curator", "curator")
}
