//! Real failures of real servers, each with a naive client that fails in the same place.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

#[path = "../common/mod.rs"]
mod common;

mod address;
mod altered;
mod clocks;
mod cluster;
mod credentials;
mod errors;
mod fixture;
mod hostile;
mod jeopardy;
mod lost_messages;
mod memory;
mod pauses;
mod quiet;
mod races;
mod rates;
mod redisson;
mod replicas;
mod reserved;
mod resource;
mod round_trips;
mod sentinel;
mod servers;
mod worker;
