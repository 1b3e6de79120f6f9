//! The ZooKeeper store of Leasehold: ephemeral sequential nodes in Curator's layout, one session for all locks of a
//! client, the transaction id of a node's creation as the fencing token.
//!
//! Applications use the `leasehold` crate and its URLs; this crate is for code that needs the store itself.

mod backend;
mod capability;
mod client;
mod dialect;
mod doctor;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod guarded_write;
mod keys;
mod lock_record;
mod options;
mod own_claims;
mod platform;
mod queue;
mod server_info;
mod session;
mod store;
mod transport;
mod txn;
mod verbs;
mod waiters;
mod watcher;

pub use backend::BACKEND;
pub use dialect::ZooKeeperDialect;
pub use guarded_write::NodeWrite;
pub use options::ZooKeeperOptions;
pub use store::ZooKeeperStore;
