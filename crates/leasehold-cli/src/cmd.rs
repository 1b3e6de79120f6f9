//! The subcommands: one file each, arguments beside the code.

mod check;
pub(crate) mod common;
mod completions;
mod demo;
mod doctor;
mod elect;
mod force_release;
mod hold;
pub(crate) mod inspect;
pub(crate) mod list;
mod man;
mod promote;
mod release;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod stores;
mod top;
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};

use crate::output::Output;

/// Run commands under a distributed lock, and inspect locks.
///
/// Locks live in a store: a Redis, PostgreSQL, Memcached, ZooKeeper or etcd server, or an SQLite file. All machines that share a lock
/// must name the same store, with --store or LEASEHOLD_STORE. The default is an SQLite file in your state directory, which
/// only the processes of this machine share.
#[derive(Parser, Debug)]
#[command(name = "leasehold", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON instead of text: the result on stdout, one event per line on stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  N    exit code of the command     128+N  the command was ended by signal N
  75   the lock is busy
  79   the lease was lost while the command ran, whatever its own exit code
  69   the store cannot be reached
  64   usage error                  78     unsafe configuration refused, damaged or foreign data
  126  the command cannot be run    127    the command was not found";

/// The subcommands. The help of the others is at their arguments.
#[derive(Subcommand, Debug)]
#[command(defer = true)]
pub(crate) enum Command {
    Run(Box<run::Arguments>),
    Inspect(inspect::Arguments),
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    Watch(watch::Arguments),
    Top(top::Arguments),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Arguments>),
    Hold(hold::Arguments),
    Release(release::Arguments),
    ForceRelease(force_release::Arguments),
    Elect(Box<elect::Arguments>),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Promote(promote::Arguments),
    Stores(stores::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    /// Print the manual page.
    Man,
}

impl Command {
    /// Runs the subcommand. Nothing is printed about an error yet.
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        match self {
            Command::Completions(arguments) => completions::run(&arguments, Cli::command(), output),
            Command::Man => man::run(Cli::command(), output),
            Command::Stores(arguments) => stores::run(&arguments, output),
            command => {
                // One thread: the parent-death signal is sent when the thread that started the child ends.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
                runtime.context("cannot start the runtime")?.block_on(command.run_async(output))
            }
        }
    }

    async fn run_async(self, output: Output) -> Result<ExitCode> {
        match self {
            Command::Run(arguments) => Box::pin(run::run(*arguments, output)).await,
            Command::Inspect(arguments) => inspect::run(arguments, output).await,
            Command::List(arguments) => list::run(arguments, output).await,
            Command::Watch(arguments) => watch::run(arguments, output).await,
            Command::Top(arguments) => Box::pin(top::run(arguments, output)).await,
            #[cfg(feature = "serve")]
            Command::Serve(arguments) => Box::pin(serve::run(*arguments, output)).await,
            Command::Hold(arguments) => Box::pin(hold::run(arguments, output)).await,
            Command::Release(arguments) => release::run(arguments, output).await,
            Command::ForceRelease(arguments) => force_release::run(arguments, output).await,
            Command::Elect(arguments) => Box::pin(elect::run(*arguments, output)).await,
            Command::Check(arguments) => check::run(arguments, output).await,
            Command::Doctor(arguments) => doctor::run(arguments, output).await,
            Command::Promote(arguments) => promote::run(arguments, output).await,
            Command::Demo(arguments) => Box::pin(demo::run(arguments, output)).await,
            Command::Completions(_) | Command::Man | Command::Stores(_) => Ok(ExitCode::SUCCESS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn run(line: &[&str]) -> run::Arguments {
        let line = ["leasehold", "run"].iter().chain(line);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Run(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_commands_own_options_are_left_to_it() {
        for line in [
            &["--ttl", "5s", "x", "--", "sh", "-c", "--ttl"][..],
            &["--ttl", "5s", "x", "sh", "-c", "--ttl"],
            &["x", "--ttl", "5s", "--", "sh", "-c", "--ttl"],
            &["x", "--ttl", "5s", "sh", "-c", "--ttl"],
        ] {
            let arguments = run(line);
            assert_eq!(arguments.guard.command, ["sh", "-c", "--ttl"], "{line:?}");
            assert_eq!(arguments.guard.hold.ttl, Some(Duration::from_secs(5)));
        }
        assert_eq!(run(&["x", "--", "a", "--", "b"]).guard.command, ["a", "--", "b"]);
    }
}
