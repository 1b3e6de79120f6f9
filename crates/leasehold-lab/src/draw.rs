//! `cargo lab draw`: draws the history of a run as an SVG picture.

mod demo;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

use crate::output::Output;

/// Draw the history of a run as an SVG picture.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    picture: Picture,
}

#[derive(Debug, clap::Subcommand)]
enum Picture {
    /// Draw the output of `leasehold demo --json`: one panel per round, one row per process.
    Demo(Files),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// JSON file with the history.
    history: PathBuf,
    /// SVG file to write.
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
}

pub(crate) fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let Picture::Demo(files) = arguments.picture;
    let read =
        |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let history =
        serde_json::from_str(&read(&files.history)?).context("not the output of `leasehold demo --json`")?;
    let picture = files.output.display();
    fs::write(&files.output, demo::draw(&history)).with_context(|| format!("cannot write {picture}"))?;
    output.say(format!("drawn: {picture}"));
    Ok(ExitCode::SUCCESS)
}
