//! `cargo lab draw`: draws the history of a run, or measurements, as an SVG picture.

mod benchmarks;
mod demo;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

use crate::output::{Output, write_picture};

/// Draw the history of a run, or measurements, as an SVG picture.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    picture: Picture,
}

#[derive(Debug, clap::Subcommand)]
enum Picture {
    /// Draw the output of `leasehold demo --json`: one panel per round, one row per process.
    Demo(Files),
    /// Draw the table "All stores" of docs/benchmarks.md: Leasehold beside each peer.
    Benchmarks(Files),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// File with the history or the table.
    input: PathBuf,
    /// SVG file to write.
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let output = Output { json: false };
    match draw(&arguments.picture, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.failure(&error),
    }
}

fn draw(picture: &Picture, output: Output) -> Result<()> {
    let (Picture::Demo(files) | Picture::Benchmarks(files)) = picture;
    let input =
        fs::read_to_string(&files.input).with_context(|| format!("cannot read {}", files.input.display()))?;
    let drawn = match picture {
        Picture::Demo(_) => {
            demo::draw(&serde_json::from_str(&input).context("not the output of `leasehold demo --json`")?)
        }
        Picture::Benchmarks(_) => benchmarks::draw(&input)?,
    };
    write_picture(Some(&files.output), || drawn)?;
    output.say(format!("drawn: {}", files.output.display()));
    Ok(())
}
