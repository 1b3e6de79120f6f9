//! The ZooKeeper store of Leasehold: ephemeral sequential nodes in Curator's layout, one session for all locks of a
//! client, the number of a transaction as the fencing token.
//!
//! Users want the `leasehold` crate and its URLs; this one is for those who build on the store itself.

mod amend;
mod backend;
mod bells;
mod capability;
mod claim;
mod doctor;
mod driver;
mod fence;
mod find;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod held;
mod janitor;
mod judge;
mod link;
mod look;
mod nodelay;
mod options;
mod path;
mod queue;
mod refusal;
mod registry;
mod release;
mod renew;
mod shared;
mod sibling;
mod sights;
mod slip;
mod store;
mod waiting;
mod watching;

pub use backend::BACKEND;
pub use held::Write;
pub use options::ZooKeeperOptions;
pub use sibling::Dialect;
pub use store::ZooKeeperStore;
