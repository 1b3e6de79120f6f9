//! `leasehold simulate`: what becomes of locks when things fail, played on real servers.

pub(crate) mod ladder;

use std::process::ExitCode;

use anyhow::Result;

use crate::message::Output;

/// See on real servers what becomes of locks when things fail.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    simulation: Simulation,
}

#[derive(Debug, clap::Subcommand)]
enum Simulation {
    Ladder(ladder::Arguments),
}

impl Arguments {
    /// Whether to speak JSON.
    pub(crate) fn json(&self) -> bool {
        match &self.simulation {
            Simulation::Ladder(arguments) => arguments.json,
        }
    }
}

/// Runs the simulation that was asked for.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    match arguments.simulation {
        Simulation::Ladder(arguments) => ladder::run(arguments, output).await,
    }
}
