//! The command line.

mod args;
mod cmd;
mod duration;
mod duty;
mod entry;
mod environment;
mod exit;
#[cfg(test)]
mod fuzz;
mod holder;
mod lock;
mod log;
mod loss;
mod mask;
mod message;
mod store;
mod supervise;
mod tenure;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, error::ErrorKind};

use args::{Arguments, Command};
use message::Output;
use supervise::{exec, guardian};

fn main() -> ExitCode {
    // The hidden modes come first and cost nothing: one of them lies between every lock and its command.
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(exec::MARK) => exec::run(words),
        Some(guardian::MARK) => guardian::run(words),
        _ => command_line(),
    }
}

fn command_line() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output { json: arguments.command.json() };
    log::start(output);
    dispatch(arguments.command, output).unwrap_or_else(|error| output.failure(&error).into())
}

/// Help and version are answers; all else that clap has to say is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::success(),
        _ => exit::USAGE.into(),
    }
}

fn dispatch(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Completions(arguments) => cmd::completions::run(&arguments, output),
        Command::Man(_) => cmd::man::run(output),
        Command::Stores(_) => cmd::stores::run(output),
        command => {
            // One thread: the child must be started by the one that lives as long as the process.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = runtime.context("cannot start")?;
            runtime.block_on(ask_store(command, output))
        }
    }
}

async fn ask_store(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Run(arguments) => Box::pin(cmd::run::run(*arguments, output)).await,
        Command::Inspect(arguments) => cmd::inspect::run(arguments, output).await,
        Command::List(arguments) => cmd::list::run(arguments, output).await,
        Command::Hold(arguments) => Box::pin(cmd::hold::run(arguments, output)).await,
        Command::Release(arguments) => cmd::release::run(arguments, output).await,
        Command::ForceRelease(arguments) => cmd::force_release::run(arguments, output).await,
        Command::Elect(arguments) => Box::pin(cmd::elect::run(*arguments, output)).await,
        Command::Check(arguments) => cmd::check::run(arguments, output).await,
        Command::Doctor(arguments) => cmd::doctor::run(arguments, output).await,
        Command::Vouch(arguments) => cmd::vouch::run(arguments, output).await,
        Command::Demo(arguments) => Box::pin(cmd::demo::run(arguments)).await,
        Command::Completions(_) | Command::Man(_) | Command::Stores(_) => Ok(exit::success()),
    }
}
