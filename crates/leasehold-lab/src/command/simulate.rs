//! `cargo lab simulate`: what becomes of locks when things fail, in a virtual world and on real servers.

mod list;
mod matrix;
mod scenario;

use std::process::ExitCode;

use anyhow::Result;

use crate::{ladder, output::Output};

/// See what becomes of locks when things fail.
///
/// With --scenario: plays one run of Leasehold's own code in a virtual world, in which the seed decides everything, and
/// shows what happened. The same command shows the same run, anywhere. Exit code 0 when all rules were kept, 1 when not.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: scenario::Arguments,
    #[command(subcommand)]
    simulation: Option<Simulation>,
}

#[derive(Debug, clap::Subcommand)]
enum Simulation {
    Ladder(ladder::Arguments),
    List(list::Arguments),
    Matrix(matrix::Arguments),
}

impl Arguments {
    /// Whether to speak JSON.
    pub(crate) fn json(&self) -> bool {
        match &self.simulation {
            None => self.scenario.json,
            Some(Simulation::Ladder(arguments)) => arguments.json,
            Some(Simulation::List(arguments)) => arguments.json,
            Some(Simulation::Matrix(arguments)) => arguments.json,
        }
    }
}

pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    match arguments.simulation {
        None => scenario::run(&arguments.scenario, output),
        Some(Simulation::Ladder(arguments)) => ladder::run(arguments, output).await,
        Some(Simulation::List(_)) => Ok(list::run(output)),
        Some(Simulation::Matrix(arguments)) => matrix::run(&arguments, output),
    }
}
