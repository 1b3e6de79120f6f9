//! The embedded store of Leasehold: one SQLite file shared by any number of processes of **one** machine.
//!
//! No server and no configuration. The kernel reports the end of a process, so its locks are free at once and not at
//! the end of their time to live; waiters in other processes are woken and do not poll.
//!
//! ```
//! use leasehold_core::{Claim, ClaimId, Env, LockName, Standing, Store};
//! use std::time::Duration;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("locks.db");
//! let env = Env::system()?;
//! let store = leasehold_sqlite::SqliteStore::open(path, env.clone())?;
//! let claim = Claim::new(LockName::new("billing/42")?, ClaimId::mint(&env), Duration::from_secs(30));
//! # runtime.block_on(async {
//! assert!(matches!(store.claim(&claim).await?, Standing::Granted(_)));
//! store.release(&claim).await?;
//! store.close().await
//! # })?;
//! # Ok::<(), leasehold_core::Error>(())
//! ```
//!
//! # Files
//! Beside the database `locks.db` stand `locks.db-wal` and `locks.db-shm` (SQLite's own), `locks.db-gate` (an empty
//! file that writers lock one after another) and `locks.db-sessions/`, where every store instance that claims keeps one
//! empty file locked while it lives. All may be deleted when no process uses the database; none may while one does. New
//! files are readable by their owner only; `chmod` the database before its first use to share it with a group.
//!
//! # Requirements
//! `flock` that the kernel drops when a process ends, and shared memory: a local file system. Network and
//! FUSE file systems are refused. Containers of one machine may share a database when they mount the same directory.
//! A process must not `fork` and go on in both halves: every call of the child fails, and it keeps the session of its
//! parent alive.
//!
//! # Limits
//! A process that is *stopped* (SIGSTOP, a debugger, the freezer) in the few microseconds in which it is inside a
//! transaction blocks all writers until it goes on or dies. That is safe, no lock has two holders; verbs
//! fail with [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) after [`SqliteOptions::timeout`] and name the process.

mod backend;
mod capability;
mod config_check;
mod connection;
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
mod platform;
mod server_info;
mod session;
mod store;
mod transport;
mod txn;
mod verbs;
mod waiters;
mod write_lock;

pub use backend::BACKEND;
pub use options::SqliteOptions;
pub use store::SqliteStore;
