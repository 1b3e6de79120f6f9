//! The arguments of the two roles.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::torture::scene::Kind;

/// Real processes, real servers, and what goes wrong with them.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Directs a run: servers, workers, nemesis, judgement
    Run(RunArguments),
    /// Is a worker of a run; the director starts it
    #[command(hide = true)]
    Work(WorkArguments),
}

/// What a run is made of.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArguments {
    /// On what, one or several; each by itself, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_value = "redis")]
    pub(crate) store: Vec<Kind>,
    /// How long, faults and the time to heal together; more until the controls have failed, but not twice as long
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Which faults, in which order, on whom, and for how long; time itself is real and never the same twice
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many worker processes
    #[arg(long, default_value_t = 4)]
    pub(crate) workers: usize,
    /// One JSON object a run instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Keeps the histories in this directory, also of a run that is good
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

/// What the director tells a worker.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkArguments {
    /// Its number in the run
    #[arg(long)]
    pub(crate) process: u32,
    /// The store
    #[arg(long)]
    pub(crate) url: String,
    /// The Redis servers for clients that speak to them themselves
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    /// Where the resource is
    #[arg(long)]
    pub(crate) resource: String,
    /// Where the histories go
    #[arg(long)]
    pub(crate) histories: PathBuf,
    /// What its choices depend on
    #[arg(long)]
    pub(crate) seed: u64,
}
