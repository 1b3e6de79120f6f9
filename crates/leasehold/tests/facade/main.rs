//! The facade against the reference store, in virtual time wherever the machine is not the point.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

mod bad_input;
mod bench;
mod blocking;
mod connect;
mod count_down_latch;
mod dropped;
mod election;
mod misuse;
mod multi_lock;
mod once_per;
mod reentrant_mutex;
mod verbs;
