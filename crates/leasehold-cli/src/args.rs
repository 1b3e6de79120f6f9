//! The command line as data: help, man page and completions come from here.

use std::{ffi::OsString, num::NonZeroU32, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::{duration, loss::OnLost};

/// Run commands under a distributed lock, and look at locks.
///
/// Locks live in a store: an SQLite file of yours unless --store or LEASEHOLD_STORE names another, which all machines
/// that share the lock must do.
#[derive(Parser, Debug)]
#[command(name = "leasehold", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  the command's own   128+N when signal N ended it
  75   busy: somebody else has the lock
  79   the lease was lost while the command ran, whatever the command said
  69   the store cannot be reached
  64   usage        78   unsafe configuration refused, damaged or foreign data
  126  cannot be run   127  command not found";

/// The subcommands. Those without a line here have their help at their arguments.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(Box<RunArguments>),
    /// Show who holds a lock and who waits for it.
    Inspect(InspectArguments),
    /// List the locks in use.
    #[command(visible_alias = "ls")]
    List(ListArguments),
    Hold(HoldArguments),
    Release(ReleaseArguments),
    ForceRelease(ForceReleaseArguments),
    Elect(Box<ElectArguments>),
    Check(CheckArguments),
    Doctor(crate::cmd::doctor::Arguments),
    Vouch(crate::cmd::vouch::Arguments),
    Stores(crate::cmd::stores::Arguments),
    /// See what a paused process does to a shop: without a lock, with a naive lock, with Leasehold.
    Demo(crate::cmd::demo::Arguments),
    /// Print a completion script for a shell.
    Completions(CompletionsArguments),
    /// Print the manual page.
    Man(ManArguments),
}

impl Command {
    /// Whether to speak JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Command::Run(arguments) => arguments.common.json,
            Command::Inspect(arguments) => arguments.common.json,
            Command::List(arguments) => arguments.common.json,
            Command::Hold(arguments) => arguments.common.json,
            Command::Release(arguments) => arguments.common.json,
            Command::ForceRelease(arguments) => arguments.common.json,
            Command::Elect(arguments) => arguments.common.json,
            Command::Check(arguments) => arguments.common.json,
            Command::Doctor(arguments) => arguments.common.json,
            Command::Vouch(arguments) => arguments.common.json,
            Command::Stores(arguments) => arguments.json,
            Command::Demo(arguments) => arguments.json,
            Command::Completions(arguments) => arguments.json,
            Command::Man(arguments) => arguments.json,
        }
    }
}

/// Which store, and how to answer.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The store, such as sqlite:PATH; an SQLite file of yours by default.
    #[arg(long, env = "LEASEHOLD_STORE", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) store: Option<String>,
    /// JSON instead of text: results on stdout, events on stderr, one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a lock is shared.
#[derive(Args, Debug)]
pub(crate) struct Sharing {
    /// Share the lock with others who say so too; never with one who does not.
    #[arg(short, long, conflicts_with = "permits")]
    pub(crate) shared: bool,
    /// A semaphore of N places, one of which is taken.
    #[arg(long, value_name = "N")]
    pub(crate) permits: Option<NonZeroU32>,
    /// Queue in order, overtaken by nobody.
    #[arg(long)]
    pub(crate) fair: bool,
}

/// For how long to wait.
#[derive(Args, Debug)]
pub(crate) struct Patience {
    /// Wait at most DUR, or `forever`; by default for ever on a terminal, 2m otherwise.
    #[arg(short, long, value_name = "DUR|forever", value_parser = Waiting::parse, conflicts_with = "no_wait")]
    pub(crate) wait: Option<Waiting>,
    /// Do not wait.
    #[arg(short, long)]
    pub(crate) no_wait: bool,
    /// What a busy lock is: a failure (exit code 75), or a reason to skip (0).
    #[arg(long, value_enum, value_name = "fail|skip", default_value = "fail", hide_possible_values = true)]
    pub(crate) on_busy: OnBusy,
    /// Exit with CODE instead of 75 when the lock is busy.
    #[arg(short = 'E', long, value_name = "CODE")]
    pub(crate) busy_exit_code: Option<u8>,
}

/// How long a hold lives, and what others are told of it.
#[derive(Args, Debug)]
pub(crate) struct Tenure {
    /// How long the lock outlives us when we are not heard of; renewed while the command runs [default: 30s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) ttl: Option<Duration>,
    /// What to tell those who wait, besides host, process and command.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// What becomes of the command when the lease is in danger.
#[derive(Args, Debug)]
pub(crate) struct LossArguments {
    /// When the lease is lost: kill the command before it ends, send it a signal, or nothing.
    #[arg(long, value_name = "kill|signal:NAME|ignore", default_value = "kill")]
    pub(crate) on_lost: OnLost,
    /// How long before the lease ends the command gets SIGTERM, so that it can end by itself
    /// [default: 5s, at most half of the ttl].
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) grace: Option<Duration>,
    /// Hold the lock at most this long; then it counts as lost.
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) hold_max: Option<Duration>,
}

/// Run a command while holding a lock.
///
/// The command gets LEASEHOLD_NAME, LEASEHOLD_FENCING_TOKEN, LEASEHOLD_SEQUENCER, LEASEHOLD_STORE and LEASEHOLD_TTL_MS.
/// It runs in a process group of its own, to which signals are passed on. When the lease cannot be renewed, the command
/// is stopped before the lease ends. When leasehold itself is killed, the command is killed too.
///
/// On a terminal the command has the keyboard, as if the shell had started it. Elsewhere, and in pipelines, a second
/// SIGINT within 3s kills. After a signal that asks to end, the lock is kept until the whole group has ended, and who is
/// left after the grace is killed. What the command leaves in the background otherwise is left alone.
///
/// Those who wait are told host, process and command line. Values of arguments that look secret (password, passwd,
/// secret, token, key, auth, and passwords of URLs) are masked.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) tenure: Tenure,
    #[command(flatten)]
    pub(crate) loss: LossArguments,
    /// Keep the lock at least this long, even when the command was quicker; does not keep the caller waiting.
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) hold_at_least: Option<Duration>,
    /// The lock: any text of 1 to 512 bytes.
    pub(crate) name: String,
    /// The command and its arguments. There is no shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// Run a command while being the leader.
///
/// Waits to be elected, for ever unless told otherwise. Resigns when the command ends. A leader whose lease is lost is
/// stopped as by `run`.
#[derive(Args, Debug)]
pub(crate) struct ElectArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) tenure: Tenure,
    #[command(flatten)]
    pub(crate) loss: LossArguments,
    /// What the leader says to those who ask for it, such as its address.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) value: String,
    /// Campaign again when the command has ended or the lease was lost, until a signal comes.
    #[arg(long)]
    pub(crate) forever: bool,
    /// The election: any text of 1 to 512 bytes.
    pub(crate) name: String,
    /// The command and its arguments. There is no shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The lock.
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Show at most N locks.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) limit: NonZeroU32,
    /// Only names that begin so.
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

/// Take a lock that outlives this process, and print its ticket.
///
/// The ticket is the only thing on stdout, and the proof of ownership: keep it as secret as the lock matters. The hold
/// ends after the time given, or with `leasehold release`.
#[derive(Args, Debug)]
pub(crate) struct HoldArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// How long the hold lasts. It is not renewed.
    #[arg(long = "for", value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) span: Duration,
    /// What to tell those who wait.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// The lock: any text of 1 to 512 bytes.
    pub(crate) name: String,
}

/// Give back the hold of a ticket.
///
/// Exit code 79 when the hold had ended before: what was done under it may have overlapped with somebody else.
#[derive(Args, Debug)]
pub(crate) struct ReleaseArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What `leasehold hold` printed; `-` reads it from stdin, so that it does not show in `ps`.
    pub(crate) ticket: String,
}

/// Throw out whoever holds a lock.
///
/// Raises the lock's fencing counter, so that resources that check tokens refuse the late writes of those thrown out.
/// A command under `leasehold run` is stopped when its next renewal is refused.
#[derive(Args, Debug)]
pub(crate) struct ForceReleaseArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The lock.
    pub(crate) name: String,
}

/// Ask whether a sequencer is still valid.
///
/// Exit code 0 when its grant still holds the lock, 1 when it is stale. By the time you read the answer it may have
/// changed: a resource is safe only if it refuses lower fencing tokens itself.
#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What LEASEHOLD_SEQUENCER was.
    pub(crate) sequencer: String,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// Wrap the script in a JSON string.
    #[arg(long)]
    pub(crate) json: bool,
    /// For which shell.
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArguments {
    /// Wrap the page in a JSON string.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a busy lock is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum OnBusy {
    /// A failure.
    Fail,
    /// A reason to do nothing, successfully.
    Skip,
}

/// The value of `--wait`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    /// At most so long.
    For(Duration),
    /// For as long as it takes.
    Forever,
}

impl Waiting {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Waiting::Forever);
        }
        duration::parse(text).map(Waiting::For)
    }
}

/// How long those wait who say nothing and whom nobody watches.
const WAIT_UNATTENDED: Duration = Duration::from_secs(120);

impl Patience {
    /// For how long to wait; `None` for not at all.
    pub(crate) fn waiting(&self, default: Waiting) -> Option<Waiting> {
        if self.no_wait || self.wait == Some(Waiting::For(Duration::ZERO)) {
            return None;
        }
        Some(self.wait.unwrap_or(default))
    }
}

impl Waiting {
    /// A person at a terminal sees who is waited for and can give up; nobody else should hang for ever.
    pub(crate) fn by_default() -> Self {
        use std::io::IsTerminal;
        if std::io::stderr().is_terminal() { Waiting::Forever } else { Waiting::For(WAIT_UNATTENDED) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    fn run(line: &[&str]) -> RunArguments {
        let line = ["leasehold", "run"].iter().chain(line);
        match Arguments::try_parse_from(line).unwrap().command {
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
            assert_eq!(arguments.command, ["sh", "-c", "--ttl"], "{line:?}");
            assert_eq!(arguments.tenure.ttl, Some(Duration::from_secs(5)));
        }
        assert_eq!(run(&["x", "--", "a", "--", "b"]).command, ["a", "--", "b"]);
    }
}
