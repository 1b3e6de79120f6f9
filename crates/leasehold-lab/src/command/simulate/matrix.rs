//! `cargo lab simulate matrix`: what becomes of each way to lock under each fault.

use std::{path::PathBuf, process::ExitCode};

use crate::matrix::{SEEDS, compute, draw, text};
use anyhow::{Context, Result};
use serde_json::json;

use crate::output::Output;

/// Play every fault against every way to lock, and draw the matrix.
///
/// In a virtual world, in which the seeds decide everything: the same program makes the same matrix, anywhere. It takes a
/// while. Each cell counts over all its runs the grants to a second holder and the acknowledged updates that were lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON: each cell with its counts, and the command that plays the first run in which it went wrong.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw it into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// How many runs a cell.
    #[arg(long, value_name = "N", default_value_t = SEEDS, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<ExitCode> {
    let rows = compute(arguments.seeds);
    if let Some(path) = &arguments.svg {
        std::fs::write(path, draw(&rows)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output.data(|| json!(rows), || text(&rows));
    Ok(ExitCode::SUCCESS)
}
