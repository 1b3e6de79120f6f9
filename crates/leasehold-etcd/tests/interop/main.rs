//! Other programs on the same cluster: each excludes us and is excluded by us.
//!
//! Go's `concurrency.Mutex` is a program of its own (`interop/README.md` says how one speaks with it), built below the
//! target directory at first use; `etcdctl lock` comes from the distribution.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../faults/fixture.rs"]
mod fixture;
#[path = "../faults/naive.rs"]
mod naive;

mod etcdctl;
mod go;
mod install;
