//! Torture: real worker processes and real servers, and a nemesis that pauses, kills and disconnects them.
//!
//! A [`workload`] is one lock, one counter behind it, and one way to use both. All workloads run in the same processes, on
//! the same servers and under the same faults: Leasehold with a counter that checks fencing tokens, and beside it the
//! controls, which have to lose updates, or the run proves nothing.
//!
//! `cargo xtask torture` calls the [`runner`]. It starts the servers ([`environment`]), the counters ([`resource`]) and the
//! worker processes ([`workers`], [`worker`]), lets the [`nemesis`] inject faults, and gives the history that the workers
//! wrote to the checker ([`report`]).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod args;
mod environment;
mod history_writer;
mod lock;
mod model;
mod nemesis;
mod network;
mod report;
mod resource;
mod runner;
mod worker;
mod workers;
mod workload;

use std::process::ExitCode;

pub(crate) use args::Arguments;
use args::Command;

/// Runs a test run, or one worker of it.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Run(arguments) => runner::run_all(&arguments),
        Command::Work(arguments) => worker::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}
