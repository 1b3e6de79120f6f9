//! The conformance suite on one database file, with several processes.

mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    suite::run("sqlite", Vec::new())
}
