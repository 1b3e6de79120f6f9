//! The conformance suite of Leasehold: the promises of every store, one file each.
//!
//! A store that does not pass does not ship. To mount the suite, a store's `tests/conformance.rs` (with
//! `harness = false` in its `[[test]]`) opens a [`Fixture`] and calls [`main`]:
//!
//! ```no_run
//! use leasehold_conformance::Fixture;
//! use leasehold_core::{Env, Store, memory::Memory};
//! use std::{process::ExitCode, sync::Arc};
//!
//! fn main() -> ExitCode {
//!     let env = Env::system().expect("this machine can start a thread");
//!     let memory = Memory::new(env.clone());
//!     let fixture = Fixture::new(env, move || {
//!         let client: Arc<dyn Store> = Arc::new(memory.client());
//!         async move { Ok(client) }
//!     });
//!     leasehold_conformance::main(vec![("memory", fixture)])
//! }
//! ```
//!
//! It runs like any test program: `cargo test --test conformance exclusion` runs the cases of one promise. A case is
//! called `label::promise::case`; what a store lacks by its [`Capability`](leasehold_core::Capability) is listed as
//! ignored with the reason, never left out silently. A failure says what was promised, expected and found.
//!
//! The rules of the suite: every `connect` is an independent client with its own session; every case uses names of
//! its own, so cases run side by side on one backend; lateness is bounded by [`Fixture::slack`], earliness by nothing
//! but the drift that the store admits; a case that hangs fails by its name.
//!
//! The guide for authors of stores is `docs/store-author-guide.md`.

mod case;
mod context;
mod drop_after;
mod fixture;
mod harness;
mod outcome;
mod prelude;

pub mod abandonment;
pub mod amend;
pub mod barging;
pub mod cancellation;
pub mod chaos;
pub mod concurrency;
pub mod contention;
pub mod detach;
pub mod exclusion;
pub mod expiry;
pub mod fairness;
pub mod fencing;
pub mod force_release;
pub mod idempotence;
pub mod inspect;
pub mod limits;
pub mod list;
pub mod liveness;
pub mod lock_delay;
pub mod loss;
pub mod names;
pub mod permits;
pub mod process;
pub mod queue;
pub mod release;
pub mod renewal;
pub mod server_info;
pub mod session;
pub mod sharing;
pub mod wakeup;

pub use case::{Case, Need};
pub use context::Test;
pub use fixture::Fixture;
pub use harness::{Report, main, trials};
pub use outcome::{CaseResult, Client, Failure};

/// Every case of every promise.
pub fn cases() -> Vec<Case> {
    [
        exclusion::cases(),
        sharing::cases(),
        permits::cases(),
        idempotence::cases(),
        expiry::cases(),
        fairness::cases(),
        renewal::cases(),
        release::cases(),
        queue::cases(),
        barging::cases(),
        wakeup::cases(),
        contention::cases(),
        fencing::cases(),
        amend::cases(),
        detach::cases(),
        liveness::cases(),
        lock_delay::cases(),
        force_release::cases(),
        inspect::cases(),
        server_info::cases(),
        list::cases(),
        names::cases(),
        limits::cases(),
        concurrency::cases(),
        cancellation::cases(),
        chaos::cases(),
        loss::cases(),
        session::cases(),
        abandonment::cases(),
        process::cases(),
    ]
    .concat()
}
