//! Vocabulary, decisions and engine of Leasehold. No network and no clock of its own.
//!
//! Applications use the `leasehold` crate. This one is for authors of stores and layers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
pub mod capability;
pub mod claim;
pub mod decide;
pub mod engine;
pub mod env;
pub mod error;
pub mod fencing;
pub mod finding;
mod future;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
pub mod layer;
pub mod lease;
pub mod lost;
pub mod memory;
pub mod name;
pub mod quorum;
pub mod revalidation;
pub mod sequencer;
#[cfg(any(test, feature = "serde"))]
mod serde_impls;
pub mod store;
pub mod store_kit;
#[cfg(test)]
mod tests;
pub mod url;

pub use capability::{Capability, Drift, Exclusion, Fencing, Liveness};
pub use claim::{Binding, Claim, ClaimId, Intent, Mode, Queueing};
pub use engine::{Engine, Hold, LockOptions, Session, SessionState, Ticket, Wait};
pub use env::{Env, Moment};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use fencing::FencingToken;
pub use finding::{Finding, Severity};
pub use future::BoxFuture;
pub use lease::{Lease, Status};
pub use lost::{Lost, LostReason};
pub use name::LockName;
pub use quorum::{Quorum, QuorumOptions};
pub use revalidation::Revalidations;
pub use sequencer::Sequencer;
pub use store::{
    Busy, Contender, Grant, Interest, Member, Release, Renewal, ServerInfo, Snapshot, Stance, Standing,
    Store, Wake,
};
