//! Real failures of real servers, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

mod crowds;
mod differential;
mod disk;
mod doctor;
mod durability;
mod fixture;
mod increments;
mod members;
mod round_trips;
mod servers;
mod transactions;
