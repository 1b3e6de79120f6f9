//! The Redis store of Leasehold: single server, replicas, Sentinel and Cluster.
//!
//! Users want the `leasehold` crate and its URLs; this one is for those who build on the store itself.

mod backend;
mod capability;
mod connection;
mod dial;
mod dialect;
mod doctor;
mod enrol;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod keys;
mod list;
mod listener;
mod options;
mod refusal;
mod renew;
mod reply;
mod route;
mod safety;
mod script;
mod session;
mod slot;
mod store;
mod topology;
mod vitals;
mod wake;

pub use backend::BACKEND;
pub use leasehold_core::{Finding, Severity};
pub use options::{Dialect, Endpoint, Protocol, QuorumMembership, RedisOptions, Servers};
pub use store::RedisStore;
