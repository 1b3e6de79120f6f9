//! The command line of the lab, run as a process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;
mod golden;
mod ladder;
mod simulate;
