//! `cargo lab draw`: draws the history of a run as an SVG picture.

mod demo;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

use crate::output::{Output, write_picture};

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

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Picture::Demo(files) = arguments.picture;
    let output = Output { json: false };
    match draw(&files, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.failure(&error),
    }
}

fn draw(files: &Files, output: Output) -> Result<()> {
    let path = files.history.display();
    let history = fs::read_to_string(&files.history).with_context(|| format!("cannot read {path}"))?;
    let history = serde_json::from_str(&history).context("not the output of `leasehold demo --json`")?;
    write_picture(Some(&files.output), || demo::draw(&history))?;
    output.say(format!("drawn: {}", files.output.display()));
    Ok(())
}
