//! The Memcached store of Leasehold: one server, which may forget.
//!
//! A lock is one item under the name itself, so whoever locks by `add` in any language is kept out and keeps us out. The
//! item's value is the document of the lock; it is made by `add`, changed by `cas`, prolonged in place and deleted by
//! meta commands that compare its CAS unique. Memcached evicts, is flushed and starts empty: a lock in it saves work, and
//! protects data only where the resource checks fencing tokens.
//!
//! Users want the `leasehold` crate and its URLs; this one is for those who build on the store itself.

mod backend;
mod capability;
mod claim;
mod clock;
mod codec;
mod connection;
mod doctor;
mod doubt;
mod driver;
mod dump;
mod escape;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod holds;
mod keys;
mod list;
mod look;
mod offset;
mod options;
mod packet;
mod release;
mod renew;
mod reply;
mod safety;
mod server;
mod session;
mod store;
mod wake;
mod write;

pub use backend::BACKEND;
pub use leasehold_core::{Finding, Severity};
pub use options::MemcachedOptions;
pub use store::MemcachedStore;
