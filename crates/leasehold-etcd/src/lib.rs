//! The etcd store of Leasehold.
//!
//! A lock is a queue of keys in order of creation. Every claim has a lease of its own, the revision that created its key is
//! its fencing token, and user data can be written in the transaction that checks the hold.
//!
//! Keys have the layout of Go's `concurrency.Mutex` and `etcdctl lock`, so those clients and this one exclude each other.
//!
//! Applications use the `leasehold` crate and its URLs; this crate is for code that builds on the store itself.

mod backend;
mod capability;
mod client;
mod doctor;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod guarded_write;
mod keys;
mod leases;
mod options;
mod own_claims;
mod protocol;
mod queue;
mod reserved;
mod server_info;
mod store;
mod transport;
mod txn;
mod verbs;
mod watcher;

pub use backend::BACKEND;
pub use guarded_write::{Committed, KeyWrite};
pub use options::EtcdOptions;
pub use store::EtcdStore;
