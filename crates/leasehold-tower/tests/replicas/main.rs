//! Two replicas of a service, as processes, on one Redis: never two handlers at work on one key.
//!
//! Each handler writes a line to a common file when it begins and when it ends, by one `write` to a file that is opened for
//! appending, so the order of the lines is that of the writes. The replicas are this program, started again with
//! [`peer::ROLE`].
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may panic, and live in real time")]

mod case;
mod log;
mod replica;

use std::process::ExitCode;

use leasehold_testkit::peer;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(peer::ROLE) {
        return replica::serve(&role);
    }
    let trials = vec![
        Trial::test("ten_thousand_requests_meet_in_no_key", || case::run(case::many_requests)),
        Trial::test("without_the_layer_two_handlers_meet", || case::run(case::no_layer)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
