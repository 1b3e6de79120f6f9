//! Leasehold's own code in a world of network delay, process pauses and clock drift, and the checker of what happened
//! there.
//!
//! A [`history`] is what a run leaves behind, in simulation and on real servers alike, and [`check`] judges it.

pub mod check;
pub mod client;
pub mod clock;
pub mod command;
pub mod dice;
mod draw;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod history;
pub mod matrix;
pub mod node;
mod output;
pub mod picture;
pub mod plan;
pub mod remote;
pub mod resource;
pub mod run;
pub mod scenario;
mod signals;
mod simulate;
pub mod stage;
mod torture;
pub mod trace;
pub mod world;
