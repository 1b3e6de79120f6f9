//! Leasehold's own code in a world of network delay, process pauses and clock drift, and the checker of what happened
//! there.
//!
//! A [`history`] is what a run leaves behind, in simulation and on real servers alike.

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod history;
