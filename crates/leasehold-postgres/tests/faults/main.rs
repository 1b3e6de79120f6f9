//! Real failures of real servers, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

mod differential;
mod doctor;
mod fixture;
mod servers;
mod transactions;
