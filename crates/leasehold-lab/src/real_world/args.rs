//! Command line arguments of the runner and of its workers.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::model::EnvironmentKind;

/// Run real processes on real servers under faults.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Start servers, workers and nemesis, and judge the history
    Run(RunArguments),
    /// A worker process; started by `run`
    #[command(hide = true)]
    Work(WorkArguments),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArguments {
    /// The servers under test; several run one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_value = "redis")]
    pub(crate) store: Vec<EnvironmentKind>,
    /// Duration of faults and recovery; at most twice as long if the controls have not failed by then
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Chooses the faults, their order, targets and durations; time is real and differs in each run
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of worker processes
    #[arg(long, default_value_t = 4)]
    pub(crate) workers: usize,
    /// Print one JSON object a run instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep the histories in this directory, also of a good run
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct WorkArguments {
    #[arg(long)]
    pub(crate) process: u32,
    #[arg(long)]
    pub(crate) url: String,
    /// Redis servers for clients that send raw commands
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    #[arg(long)]
    pub(crate) resource: String,
    #[arg(long)]
    pub(crate) histories: PathBuf,
    #[arg(long)]
    pub(crate) seed: u64,
}
