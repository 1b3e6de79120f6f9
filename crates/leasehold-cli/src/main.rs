//! The `leasehold` command: runs commands under distributed locks and inspects locks.

mod acquire;
mod child_env;
mod cmd;
mod config;
mod describe;
mod duration;
mod exit;
#[cfg(test)]
#[path = "tests/fuzz.rs"]
mod fuzz;
mod guarded_run;
mod hold_plan;
mod lock;
mod log;
mod loss_policy;
mod once_run;
mod output;
mod platform;
mod redact;
mod store_location;
mod supervise;
mod view;

use std::{ffi::OsStr, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use cmd::Cli;
use exit::CliError;
use output::Output;
use supervise::{guardian, own_process::GUARDIAN_MODE};

fn main() -> ExitCode {
    // The hidden mode first, since every `run` starts it.
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(OsStr::to_str) {
        Some(GUARDIAN_MODE) => guardian::run(words),
        _ => command_line(),
    }
}

fn command_line() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output { json: cli.json };
    log::start(output);
    cli.command.run(output).unwrap_or_else(|error| output.failure(&error).into())
}

/// Reads the command line. The arguments of a verb are described when it is in use, or when help lists all verbs.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let verb = std::env::args_os().nth(1);
    if verb.is_none_or(|verb| command.find_subcommand(verb).is_none()) {
        command.build();
    }
    let mut matches = command.try_get_matches()?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut Cli::command()))
}

/// Prints help, version or a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).take_while(|word| word != "--").collect();
    let json = words.iter().any(|word| word == "--json");
    let runs_command =
        words.iter().find(|word| *word != "--json").is_some_and(|verb| verb == "run" || verb == "elect");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        kind => {
            let text = error.render().to_string();
            let (message, mut hint) = text.split_once("\n\n").unwrap_or((&text, ""));
            // The tip for a mistyped option says more.
            let is_typing = text.contains("similar argument");
            let is_usage = matches!(kind, ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument);
            if runs_command && is_usage && !is_typing {
                hint = NAME_FIRST;
            }
            let message = message.trim_start_matches("error: ");
            Output { json }.failure(&CliError::usage(message, hint.trim())).into()
        }
    }
}

const NAME_FIRST: &str = "the name of the lock comes before the command: leasehold run NAME -- COMMAND";
