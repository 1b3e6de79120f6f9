//! Tests of code that locks: a virtual clock, and a store in memory.
//!
//! The clock of a [`Virtual`] world moves only when nothing else is to be done, so a lease of an hour runs out in
//! microseconds, through the real engine.
//!
//! ```
//! use std::time::Duration;
//! let (world, client) = leasehold::testing::world();
//! world.block_on(async {
//!     let report = client.mutex("report").unwrap().ttl(Duration::from_secs(10)).without_renewal();
//!     let late = report.lock().await.unwrap();
//!     client.env().sleep(Duration::from_secs(11)).await;             // the holder was paused
//!     assert!(late.check().is_err());
//!     let next = report.try_lock().await.unwrap().unwrap();
//!     assert!(next.fencing_token() > late.fencing_token());
//! });
//! ```
//!
//! More clients of the same store: `Client::new(Arc::new(memory.client()), world.env())` with one [`Memory`]. Faults are
//! injected by the layer `leasehold_core::layer::Chaos`.

use std::sync::Arc;

pub use leasehold_core::{
    Env, Moment,
    env::{Environment, Virtual},
    memory::Memory,
};

use crate::Client;

/// A virtual world and a client in it, of a store in memory of its own.
pub fn world() -> (Virtual, Client) {
    let world = Virtual::new(1);
    let client = Client::new(Arc::new(Memory::new(world.env())), world.env());
    (world, client)
}
