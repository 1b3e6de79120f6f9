//! The same locks for threads that may block: the same names without `async`.
//!
//! Renewal, clean-up and timers run on Leasehold's own threads, so nothing needs an async runtime. Inside of one, a
//! blocking call would stop all tasks of its thread, among them perhaps the one that it waits for: there it is refused
//! with [`ErrorKind::WouldDeadlock`]. (In `spawn_blocking` and `block_in_place` it is welcome.)
//!
//! ```
//! # fn main() -> leasehold::Result<()> {
//! let locks = leasehold::blocking::Client::connect("memory:")?;
//! let guard = locks.mutex("billing/42")?.lock()?;
//! guard.check()?;                       // before each side effect
//! guard.release()?;                     // or drop it
//! # Ok(()) }
//! ```

mod block_on;
mod client;
mod guard;
mod lock;
mod session;

use block_on::block_on;
pub use client::Client;
pub use guard::{
    Leadership, MultiGuard, MutexGuard, Permit, ReadGuard, ReentrantGuard, UpgradeRefused, WriteGuard,
};
pub use lock::{
    CountDownLatch, Election, MultiLock, Mutex, Observer, OncePer, ReentrantMutex, RwLock, Semaphore,
};
pub use session::Session;

use crate::{Contender, Leader, Release, Snapshot};

#[cfg(doc)]
use crate::ErrorKind;

/// What an answer of the async facade is called here.
trait ToBlocking {
    type Blocking;

    fn reflect(self) -> Self::Blocking;
}

impl<T: ToBlocking> ToBlocking for Option<T> {
    type Blocking = Option<T::Blocking>;

    fn reflect(self) -> Self::Blocking {
        self.map(ToBlocking::reflect)
    }
}

macro_rules! same {
    ($($type:ty),*) => {
        $(impl ToBlocking for $type {
            type Blocking = $type;

            fn reflect(self) -> $type {
                self
            }
        })*
    };
}

same!((), bool, u32, Release, Snapshot, Leader, Vec<Contender>, Vec<Snapshot>, crate::Ticket);
