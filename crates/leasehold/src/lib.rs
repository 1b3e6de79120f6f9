//! Distributed locks that tell you when they stop being locks.
//!
//! A lock is a cheap description ([`Mutex`], [`RwLock`], [`Semaphore`], …) made by a [`Client`] of one store. Locking
//! answers a guard, which is a [`Lease`]: it knows its deadline and its fencing token, it is renewed in the background,
//! and it tells when it is lost, no later than its deadline and without the network.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
//! let locks = leasehold::Client::connect("memory:").await?;
//! let guard = locks.mutex("billing/42")?.lock().await?;
//! let token = guard.fencing_token();                    // present it to the resource, which refuses lower ones
//! guard.run(async { /* dropped the moment the lease is lost */ }).await?;
//! guard.release().await?;                               // or drop it: the watchdog releases it
//! # let _ = token; Ok(()) }
//! ```

/// The code of the page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/chubby.md")]
struct ChubbyPage;

mod backends;
pub mod blocking;
mod client;
mod count_down_latch;
pub mod diagnose;
mod election;
pub mod fencing;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod multi_lock;
mod mutex;
mod note;
mod once_per;
mod reentrant_mutex;
mod rw_lock;
mod semaphore;
pub mod store {
    //! The kinds of stores, and the trait by which one is written.

    pub use leasehold_core::{
        Capability, Contender, Drift, Exclusion, Fencing, Liveness, Member, Snapshot, Stance, Store,
    };

    pub use crate::backends::stores;
}
pub mod url;

pub use backends::stores;
pub use client::Client;
pub use count_down_latch::CountDownLatch;
pub use election::{Election, Leader, Leadership, Observer};
pub use guard::{MutexGuard, Permit, ReadGuard, UpgradeRefused, WriteGuard};
pub use leasehold_core::{
    Busy, Capability, ClaimId, Contender, Drift, Env, Error, ErrorKind, Exclusion, Fencing, FencingToken,
    Finding, Lease, Liveness, LockName, LockOptions, Lost, LostReason, Member, Mode, Moment, Outcome,
    Release, Require, Result, Sequencer, Session, SessionState, Severity, Snapshot, Stance, Status, Store,
    Ticket, engine::Observer as BusyObserver,
};
pub use multi_lock::{MultiGuard, MultiLock};
pub use mutex::Mutex;
pub use note::Note;
pub use once_per::{OncePer, RunOutcome, Slot};
pub use reentrant_mutex::{Owner, ReentrantGuard, ReentrantMutex};
pub use rw_lock::RwLock;
pub use semaphore::Semaphore;
pub use url::StoreUrl;
