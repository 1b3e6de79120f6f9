//! A virtual world: one thread, one seed, and processes that share nothing but a network.
//!
//! Time stands still while any task can run, then advances to the next event. Each process has its own clock and its own
//! [`Env`](leasehold_core::Env). Between any two polls it can be paused or killed; the tasks of a killed process are
//! dropped without running. The rng chooses which of several ready tasks is polled next.

mod clock;
mod member;
mod network;
mod process;
mod resource;
mod server;
mod sim_store;
mod task;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use network::{Conditions, Way};
pub(crate) use process::Process;
pub(crate) use resource::SimResource;
pub(crate) use server::Server;
pub(crate) use sim_store::SimStore;
pub(crate) use world::World;
