//! The command line of the lab.

mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{draw, output::USAGE, real_world};

/// Test Leasehold and naive locks under faults.
#[derive(Parser, Debug)]
#[command(name = "leasehold-lab", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Simulate(simulate::Arguments),
    Torture(real_world::Arguments),
    Draw(draw::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Simulate(arguments) }) => simulate::run(&arguments),
        Ok(Arguments { command: Command::Torture(arguments) }) => real_world::run(arguments),
        Ok(Arguments { command: Command::Draw(arguments) }) => draw::run(arguments),
        Err(error) => usage(&error),
    }
}

/// Help and version are answers; everything else that clap reports is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr changes nothing about the exit code.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => USAGE.into(),
    }
}
