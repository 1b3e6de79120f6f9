//! Distributed locks that tell you when they stop being locks.
//!
//! A lock is a cheap description ([`Mutex`], [`RwLock`], …) made by a [`Client`] of one store. Locking answers a guard,
//! which is a [`Lease`]: it knows its deadline and its fencing token, it is renewed in the background, and it reports its
//! loss no later than its deadline and without the network.
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
//!
//! A guard that is dropped is released in the background. A program that ends calls [`Client::close`] before; otherwise
//! the store may keep the lock for the rest of its ttl.
//!
//! # Installation
//!
//! ```text
//! cargo add leasehold --features redis
//! ```
//!
//! Stores are Cargo features. Without any, there are `memory:` and `quorum:`; the default set is empty, because SQLite's C
//! library may be linked only once in a program.
//!
//! | feature | adds |
//! |---|---|
//! | `sqlite` | `sqlite:PATH`, an embedded store: no server, all processes of one machine |
//! | `redis` | `redis://`, `redis+unix://`, `redis+sentinel://`, `redis+cluster://`, and `redlock://` |
//! | `redis-1` | `redis`, and `Client::with_redis` (`with_redis_connection`) for a client (a connection) of the `redis` crate, version 1 |
//! | `memcached` | `memcached://` |
//! | `zookeeper` | `zookeeper://` |
//! | `etcd` | `etcd://` |
//! | `postgres` | `postgres://`; `guard.check_in` checks the lock in your own transaction |
//! | `all-stores` | all of these |
//! | `sqlx` | the same check in transactions of sqlx 0.8 |
//! | `testing` | `testing::on_tokio`, locks in the paused time of tokio |
//! | `rusqlite` | `fencing::sqlite`, which checks fencing tokens inside a transaction of your SQLite database |
//!
//! # Locks
//!
//! | made by | type | holders |
//! |---|---|---|
//! | [`Client::mutex`] | [`Mutex`] | one |
//! | [`Client::rw_lock`] | [`RwLock`] | many readers or one writer; upgrade and downgrade |
//! | [`Client::semaphore`] | [`Semaphore`] | up to a number of permits |
//! | [`Client::reentrant_mutex`] | [`ReentrantMutex`] | one owner, any number of times |
//! | [`Client::multi_lock`] | [`MultiLock`] | one, of several names: all or none |
//! | [`Client::election`] | [`Election`] | one leader, whose value all others observe |
//! | [`Client::count_down_latch`] | [`CountDownLatch`] | opens after a number of arrivals |
//! | [`Client::once_per`] | [`OncePer`] | one run of a job per slot of time |
//!
//! Options are methods: `locks.mutex("x")?.ttl(ttl).fair().lock().await?`. An option that the store cannot keep is refused
//! before the first request, or at once by [`build`](Mutex::build). Every lock has `try_…` (no wait), `try_…_for` (a
//! bounded wait), `with` and `try_with` (run work under the lease), `inspect` and `force_release`; every async method has
//! a `blocking_…` form for threads without an async runtime.
//!
//! # Stores
//!
//! The promises of each store and their assumptions are in the project's `SAFETY.md`; [`store::stores`] lists the
//! capability of each.
//!
//! | store | fair queue | fencing tokens | a dead client's lock is free |
//! |---|---|---|---|
//! | memory, for tests | yes | until restart | when its process ends |
//! | SQLite | yes | durable | at once |
//! | Redis | yes | durable | after its ttl |
//! | majority of stores, Redlock | no | as its members' | after its ttl |
//! | Memcached | yes | until restart | after its ttl |
//! | ZooKeeper | yes | durable | with its session |
//! | etcd | yes | durable | with its lease |
//! | PostgreSQL | yes | durable | after its ttl |
//!
//! # More
//!
//! The project's `docs/book` teaches: `getting-started.md`, `locks.md` (semaphores, elections, once a slot, blocking code),
//! `fencing.md` (what a lock alone cannot protect), `http.md` (the crate `leasehold-tower`), one page per store, `cron.md`,
//! `chubby.md`; `examples.md` lists programs to copy from. Modules of this page: [`fencing`] for the resource's half, [`testing`] for virtual time,
//! [`mod@diagnose`] for servers whose configuration can lose locks. Names, tokens, sequencers, tickets, holders, waiters and
//! findings serialize with serde.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The code of these pages compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/book/chubby.md")]
#[doc = include_str!("../../../docs/book/getting-started.md")]
#[doc = include_str!("../../../docs/book/locks.md")]
struct BookPages;

#[cfg(all(doctest, feature = "redis-1"))]
#[doc = include_str!("../../../docs/book/redis.md")]
struct PageOfRedis;

mod backends;
mod block_on;
mod client;
pub mod diagnose;
pub mod fencing;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "tests/fuzz.rs"]
pub mod fuzz;
mod guard;
mod locks;
mod note;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis-1")]
pub mod redis;
pub mod testing;
pub mod url;

pub use block_on::block_on;
pub use client::Client;
pub use guard::{MutexGuard, Permit, ReadGuard, UpgradeRefused, WriteGuard};
pub use leasehold_core::{
    Busy, Error, ErrorKind, FencingToken, Lease, LockName, LockOptions, Lost, LostReason, Result, Sequencer,
    Ticket,
};
pub use locks::{
    count_down_latch::CountDownLatch,
    election::{Election, Leadership},
    multi_guard::MultiGuard,
    multi_lock::MultiLock,
    mutex::Mutex,
    once_per::{OncePer, RunOutcome, Slot},
    owners::Owner,
    reentrant_mutex::{ReentrantGuard, ReentrantMutex},
    rw_lock::RwLock,
    semaphore::Semaphore,
};
pub use note::Note;

pub mod store {
    //! The trait of stores and its types: capability, holders and waiters, answers.

    pub use leasehold_core::{
        Capability, ClaimId, Contender, Drift, Exclusion, Fencing, Liveness, Member, Mode, Outcome, Release,
        Snapshot, Stance, Store, engine::LockWatcher,
    };

    #[cfg(feature = "postgres")]
    pub use leasehold_postgres::SCHEMA as POSTGRES_SCHEMA;

    pub use crate::backends::stores;
}

pub mod session {
    //! The state of a client's session, and of one lease.

    pub use leasehold_core::{Session, SessionState, Status};
}

pub mod election {
    //! The leader of an [`Election`](crate::Election) as others see it, and those who want to lead.

    pub use crate::locks::{
        candidate::Candidate,
        election::{Leader, Observer},
    };
}

pub mod layer {
    //! Stores around stores: names under a prefix, calls that are traced or measured, and injected faults.
    //!
    //! ```
    //! use std::sync::Arc;
    //!
    //! use leasehold::{Client, env::Env, layer::{Meter, Prefix}};
    //! # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    //! let env = Env::system()?;
    //! let store = leasehold::url::StoreUrl::parse("memory:")?.open(&env).await?;
    //! let store = Meter::new(Arc::new(Prefix::new(store, "tenant-7/")), env.clone());
    //! let locks = Client::new(Arc::new(store), env);
    //! locks.mutex("x")?.lock().await?.release().await?;        // `tenant-7/x` in the store
    //! # Ok(()) }
    //! ```

    pub use leasehold_core::layer::{Chaos, Fault, Meter, Prefix, Trace, Verb};
}

pub mod env {
    //! The clock that leases are measured on; see [`Client::env`](crate::Client::env).

    pub use leasehold_core::{
        Env, Moment,
        env::{is_portable, show},
    };
}
