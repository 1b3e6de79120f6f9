//! The Redis store of Leasehold: single server, replicas, Sentinel and Cluster.
//!
//! Applications use the `leasehold` crate and its URLs; this crate is for programs that use the store itself.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod capability;
mod client;
mod config_check;
mod contention;
mod dialect;
mod doctor;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod keys;
mod options;
mod server_info;
mod store;
mod topology;
mod transport;
mod verbs;
mod waiters;
mod watcher;

pub use backend::BACKEND;
pub use leasehold_core::{Finding, Severity};
pub use options::{Dialect, Endpoint, Protocol, QuorumMembership, RedisOptions, Servers};
#[cfg(feature = "redis-1")]
pub use redis;
pub use store::RedisStore;
#[cfg(feature = "redis-1")]
pub use transport::shared::SharedConnection;
