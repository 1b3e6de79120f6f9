//! The etcd store of Leasehold: a queue of keys in order of their creation, a lease for every claim, the revision that made
//! a key as its fencing token, and writes that only a holder can make.
//!
//! Keys are laid out as Go's `concurrency.Mutex` and `etcdctl lock` have them, so that those exclude us and are excluded.
//!
//! Users want the `leasehold` crate and its URLs; this one is for those who build on the store itself.

mod backend;
mod capability;
mod claim;
mod commit;
mod doctor;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod keys;
mod leases;
mod link;
mod look;
mod members;
#[rustfmt::skip]
mod messages;
mod mirror;
mod options;
mod queue;
mod refusal;
mod release;
mod renew;
mod session;
mod slot;
mod store;
mod txn;
mod value;
mod vitals;
mod wake;

pub use backend::BACKEND;
pub use commit::{Committed, Write};
pub use options::{Endpoint, EtcdOptions};
pub use store::EtcdStore;
