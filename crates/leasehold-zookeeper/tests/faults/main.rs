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
mod fixture;
mod jeopardy;
mod lost_messages;
mod naive;
mod names;
mod passing;
mod process;
mod queue;
mod round_trips;
mod session;
mod writes;
