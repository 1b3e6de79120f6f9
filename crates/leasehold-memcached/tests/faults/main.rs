//! Real failures of real servers, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

#[path = "../common/mod.rs"]
mod common;

mod doctor;
mod fixture;
mod forgets;
mod lost_messages;
mod memory;
mod naive;
mod names;
mod round_trips;
mod servers;
mod tokens;
