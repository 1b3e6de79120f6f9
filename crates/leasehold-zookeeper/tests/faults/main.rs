//! Real failures of real servers, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests may panic, have a runtime of their own, and talk to each other by their output"
)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod doctor;
mod ensemble;
mod jeopardy;
mod lost;
mod naive;
mod names;
mod process;
mod queue;
mod rig;
mod round_trips;
mod session;
mod writes;
