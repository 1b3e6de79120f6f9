//! The ZooKeeper store of Leasehold: ephemeral sequential nodes in Curator's layout, one session for all locks of a
//! client, the transaction id of a node's creation as the fencing token.
//!
//! Applications use the `leasehold` crate and its URLs; this crate is for code that needs the store itself.

mod backend;
mod capability;
mod client;
mod doctor;
mod error;
mod fencing_token;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod guarded_write;
mod in_doubt;
mod keys;
mod last_changes;
mod node_name;
mod options;
mod own_claims;
mod queue;
mod server_info;
mod session;
mod store;
mod transport;
mod verbs;
mod waiters;
mod watcher;

pub use backend::BACKEND;
pub use guarded_write::NodeWrite;
pub use node_name::ZooKeeperDialect;
pub use options::ZooKeeperOptions;
pub use store::ZooKeeperStore;
