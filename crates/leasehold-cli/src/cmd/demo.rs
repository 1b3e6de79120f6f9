//! `leasehold demo`: the effect of one stopped process on a shop without a lock, with a naive lock and with Leasehold.
//!
//! Needs no server. Worker processes sell a limited stock from an SQLite file; one of them is stopped between reading the
//! stock and writing it, for longer than its lock lives. All numbers are counted in the shop's database afterwards.

mod config;
mod event;
mod round;
mod shop;
mod summary;
#[cfg(test)]
mod tests;
mod worker;
mod workers;

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{self, ExitCode},
};

use anyhow::{Context, Result};
use clap::value_parser;
use leasehold::env::Env;
use serde_json::json;

use crate::{duration::millis, output::Output, supervise::signals::Signals};
use config::{Config, Strategy, WorkerArgs};
use summary::Summary;

/// Time to live of the locks: long enough that no lease ends by accident on a busy machine.
const TTL_MS: u64 = 1000;

/// Show the effect of a paused process on a shop: without a lock, with a naive lock, with Leasehold.
///
/// Starts worker processes that sell a limited stock, stops one of them between reading and writing for longer than its
/// lock lives, and counts the orders in the shop's database. Needs no server, and removes all its files. Exits with 0 if
/// Leasehold kept the stock exact and refused the late write, and at least one of the other rounds failed. --json prints the
/// history of all rounds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of items to sell.
    #[arg(long, value_name = "ITEMS", default_value_t = 30, value_parser = value_parser!(u32).range(12..=400))]
    stock: u32,
    /// Number of worker processes.
    #[arg(long, value_name = "PROCESSES", default_value_t = 4, value_parser = value_parser!(u32).range(2..=12))]
    workers: u32,
    /// Seed of the payment times. The order of the workers still depends on the machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run as a worker process of a demo.
    #[arg(long, hide = true, value_name = "JSON")]
    worker: Option<WorkerArgs>,
}

/// Runs the demo. The exit code is 0 only if the run proves something.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let Arguments { stock, workers, seed, worker } = arguments;
    if let Some(args) = worker {
        return worker::run(args).await;
    }
    let config = Config { stock, workers, seed, ttl_ms: TTL_MS };
    let rounds = Signals::new()?.unless_ended(run_rounds(config, output)).await;
    let summary = rounds
        .inspect_err(|_| output.say("interrupted: all workers and files of the demo were removed"))??;
    output.data(|| json!(summary), || summary.text())?;
    Ok(if summary.proves { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all rounds in a temporary directory.
async fn run_rounds(config: Config, output: Output) -> Result<Summary> {
    let env = Env::system()?;
    let begin = env.now();
    let directory = TempDirectory::create()?;
    let mut rounds = Vec::new();
    for strategy in Strategy::ALL {
        let round = round::run_round(strategy, &config, &env, &directory.0, output).await?;
        output.say(format!("  {}\n", round.result()));
        rounds.push(round);
    }
    Ok(Summary::new(rounds, config, millis(env.now().since(begin))))
}

/// A new directory that only this user can read; removed with its contents on drop.
struct TempDirectory(PathBuf);

impl TempDirectory {
    fn create() -> Result<Self> {
        let path = env::temp_dir().join(format!("leasehold-demo-{}", process::id()));
        // Fails if the path exists, also as a link of another user.
        let created = DirBuilder::new().mode(0o700).create(&path);
        created.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(TempDirectory(path))
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
