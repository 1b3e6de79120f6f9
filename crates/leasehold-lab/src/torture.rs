//! Torture: real worker processes, real servers, and a nemesis that pauses, kills and cuts them, all at once.
//!
//! A *lane* is one lock, one resource behind it and one way of using both. All lanes go through the same processes, on
//! the same servers and under the same faults: the library's own way, with a fencing token that the resource is claimed
//! with, and beside it what others do, which has to fail there, or the run proves nothing.
//!
//! `cargo xtask torture` runs the director. It starts the servers ([`scene`]), a resource that counts ([`resource`]), and
//! the worker processes ([`crew`], [`worker`]), lets the nemesis loose ([`nemesis`]), and gives the history that the
//! workers wrote ([`journal`]) to the checker ([`verdict`]).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod args;
mod crew;
mod dice;
mod director;
mod failure;
mod journal;
mod lane;
mod lock;
mod nemesis;
mod network;
mod pace;
mod resource;
mod scene;
mod verdict;
mod worker;

use std::process::ExitCode;

pub(crate) use args::Arguments;
use args::Command;

/// Runs the director, or one worker of it.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Run(arguments) => director::run_all(&arguments),
        Command::Work(arguments) => worker::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
