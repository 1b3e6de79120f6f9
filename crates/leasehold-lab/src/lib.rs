//! Leasehold and naive locks under faults, in a virtual world and on real servers, and the checker of what happened.
//!
//! A run in either world leaves a [`history`], which the [`checker`] judges. `harness` plays a scenario in the
//! `virtual_world`; `real_world` starts worker processes and servers; `ladder` plays the known failure of each way to
//! lock in Redis.

pub mod checker;
pub mod command;
pub mod config;
mod draw;
pub mod faults;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod harness;
pub mod history;
mod ladder;
pub mod matrix;
pub mod model;
mod naive_redis;
mod output;
mod overlaps;
mod real_world;
pub mod resource;
mod rng;
pub mod run;
pub mod scenario;
mod simulation;
mod strategies;
mod svg;
mod sync;
pub mod timeline;
pub mod trace;
mod virtual_world;
