//! Redis servers that vote, and what happens to them; the textbook Redlock fails beside them.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

#[path = "../faults/altered.rs"]
mod altered;
#[path = "../common/mod.rs"]
mod common;
#[path = "../faults/fixture.rs"]
mod fixture;

mod clocks;
mod hung;
mod members;
mod memory;
mod minority;
mod mistakes;
mod reserved;
mod round_trips;
mod textbook;
mod votes;
