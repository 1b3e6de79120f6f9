//! The Memcached store of Leasehold: one server without replication or persistence.
//!
//! A lock is one item under the lock's own name, so every client that locks with `add`, in any language, excludes ours
//! and is excluded. The item's value is the lock document; it is created by `add`, changed by `cas`, extended in place
//! and deleted by meta commands that compare its CAS unique. Memcached evicts, can be flushed and starts empty: a lock
//! in it saves work, and protects data only where the resource checks fencing tokens.
//!
//! Applications use the `leasehold` crate and its URLs; this crate is for code that needs the store itself.

mod backend;
mod capability;
mod client;
mod config_check;
mod doctor;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod keys;
mod lock_record;
mod options;
mod own_claims;
mod server_info;
mod store;
mod transport;
mod txn;
mod verbs;

pub use backend::BACKEND;
pub use leasehold_core::{Finding, Severity};
pub use options::MemcachedOptions;
pub use store::MemcachedStore;
