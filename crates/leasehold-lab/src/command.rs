//! The command line of the lab.

mod simulate;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{
    draw,
    output::{Output, USAGE},
    real_world,
};

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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match arguments.command {
        Command::Simulate(arguments) => {
            let output = Output { json: arguments.json() };
            simulate(arguments, output).unwrap_or_else(|error| output.failure(&error))
        }
        Command::Torture(arguments) => real_world::run(arguments),
        Command::Draw(arguments) => {
            let output = Output { json: false };
            draw::run(arguments, output).unwrap_or_else(|error| output.failure(&error))
        }
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

fn simulate(arguments: simulate::Arguments, output: Output) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.context("cannot start a runtime")?.block_on(simulate::run(arguments, output))
}
