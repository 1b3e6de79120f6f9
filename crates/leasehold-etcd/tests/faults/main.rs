//! Real failures of real members, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

#[path = "../common/mod.rs"]
mod common;

mod commit;
mod credentials;
mod doctor;
mod errors;
mod fixture;
mod jeopardy;
mod leases;
mod lost_messages;
mod naive;
mod names;
mod passing;
mod quorum;
mod races;
mod refusing;
mod reserved;
mod restore;
mod round_trips;
mod watches;
