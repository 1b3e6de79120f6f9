//! Groups of options that several subcommands have.

use std::{ffi::OsString, io::IsTerminal, num::NonZeroU32, time::Duration};

use anyhow::Result;
use clap::{Args, ValueHint};
use leasehold::{Client, LockName};
use serde_json::json;

use crate::{
    duration,
    exit::BUSY,
    lock::{Lock, WaitLimit},
    loss_policy::OnLost,
    output::Output,
    redact,
    store_location::StoreLocation,
    view::scanner::Range,
};

/// The store.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    /// URL of the store, such as redis://HOST:PORT or sqlite:PATH, or its name in leasehold.toml [default: the one that
    /// leasehold.toml names, or an SQLite file in your state directory].
    #[arg(long, env = "LEASEHOLD_STORE", hide_env_values = true, value_name = "URL|NAME", value_hint = ValueHint::Url)]
    store: Option<String>,
}

impl StoreArgs {
    /// The named store. The default one is named where nobody sees what a shell has set, such as in cron.
    pub(crate) fn location(&self, output: Output) -> Result<StoreLocation> {
        let location = StoreLocation::find(self.store.as_deref())?;
        for warning in &location.warnings {
            output.event("warning", json!({ "message": warning }));
            output.say(format!("warning: {warning}"));
        }
        if self.store.is_none() && location.origin().is_none() && !std::io::stderr().is_terminal() {
            let store = location.shown();
            output.event("default-store", json!({ "store": store }));
            output.say(format!(
                "no --store and no LEASEHOLD_STORE: using {store}, which only this machine shares"
            ));
        }
        Ok(location)
    }
}

/// The part of a store that is watched, and how often.
#[derive(Args, Debug)]
pub(crate) struct RangeArgs {
    /// Show at most N locks.
    #[arg(long, value_name = "N", default_value = "10000")]
    limit: NonZeroU32,
    /// Begin a scan at most once in DUR. After a long one there is a pause of nine times its length.
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = duration::parse_positive)]
    every: Duration,
    /// Only names with this prefix.
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

impl RangeArgs {
    pub(crate) fn range(&self) -> Range {
        let limit = usize::try_from(self.limit.get()).unwrap_or(usize::MAX);
        Range { prefix: self.prefix.clone(), limit, every: self.every }
    }
}

/// The kind of lock.
#[derive(Args, Debug)]
pub(crate) struct ModeArgs {
    /// Take the lock in shared mode: together with other shared holders, never with an exclusive one.
    #[arg(short, long, conflicts_with = "permits")]
    shared: bool,
    /// Take one permit of a semaphore that has N.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    permits: Option<u32>,
    /// Wait in a first-in-first-out queue.
    #[arg(long)]
    pub(crate) fair: bool,
}

impl ModeArgs {
    /// Describes the lock. No I/O.
    pub(crate) fn lock(&self, client: &Client, name: &LockName) -> Result<Lock> {
        let mut options = client.options().clone();
        options.fair |= self.fair;
        Ok(match self.permits {
            Some(permits) => Lock::Permits(client.semaphore(name, permits)?.with_options(options).build()?),
            None if self.shared => Lock::Shared(client.rw_lock(name)?.with_options(options).build()?),
            None => Lock::Exclusive(client.mutex(name)?.with_options(options).build()?),
        })
    }
}

/// How long to wait for a busy lock, and the exit code if it stays busy.
#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Wait at most DUR, or `forever` [default: forever on a terminal, 2m otherwise].
    #[arg(short, long, value_name = "DUR|forever", value_parser = WaitLimit::parse, conflicts_with = "no_wait")]
    wait: Option<WaitLimit>,
    /// Do not wait.
    #[arg(short, long)]
    no_wait: bool,
    /// If the lock is busy: `fail` (exit code 75) or `skip` (exit code 0).
    #[arg(long, value_enum, value_name = "fail|skip", default_value = "fail", hide_possible_values = true)]
    on_busy: OnBusy,
    /// If the lock is busy, exit with CODE instead of 75.
    #[arg(short = 'E', long, value_name = "CODE")]
    busy_exit_code: Option<u8>,
}

impl WaitArgs {
    /// The limit of the wait; `default` if the options name none.
    pub(crate) fn limit(&self, default: WaitLimit) -> WaitLimit {
        match self.wait {
            _ if self.no_wait => WaitLimit::NoWait,
            Some(WaitLimit::For(Duration::ZERO)) => WaitLimit::NoWait,
            limit => limit.unwrap_or(default),
        }
    }

    pub(crate) fn skips_busy(&self) -> bool {
        self.on_busy == OnBusy::Skip
    }

    pub(crate) fn busy_code(&self) -> u8 {
        if self.skips_busy() { 0 } else { self.busy_exit_code.unwrap_or(BUSY) }
    }
}

/// The meaning of a busy lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum OnBusy {
    /// Failure.
    Fail,
    /// Success without running the command.
    Skip,
}

/// Time to live and note of a hold.
#[derive(Args, Debug)]
pub(crate) struct HoldArgs {
    /// Time to live of the lock: it expires when it has not been renewed for this long. Renewed while the command runs
    /// [default: 30s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) ttl: Option<Duration>,
    /// Text that other clients see, besides host, process id and command.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Show other clients the `program` with the number of its arguments, or the `full` line, in which words that look like
    /// secrets are masked.
    #[arg(
        long,
        value_enum,
        value_name = "program|full",
        default_value = "program",
        hide_possible_values = true
    )]
    pub(crate) note_command: NoteCommand,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum NoteCommand {
    Program,
    Full,
}

impl NoteCommand {
    /// The part of a note that describes this command.
    pub(crate) fn of(self, command: &[OsString]) -> String {
        match self {
            NoteCommand::Program => redact::summary(command),
            NoteCommand::Full => redact::masked_line(command),
        }
    }
}

/// The reaction to a lost lease.
#[derive(Args, Debug)]
pub(crate) struct LossArgs {
    /// If the lease is about to be lost: `kill` the command before the lease ends, send it a signal, or `ignore`.
    #[arg(long, value_name = "kill|signal:NAME|ignore", default_value = "kill")]
    pub(crate) on_lost: OnLost,
    /// Send SIGTERM this long before the lease ends, so that the command can exit by itself
    /// [default: 5s, at most half of the ttl].
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) grace: Option<Duration>,
    /// Hold the lock at most this long; the lease then counts as lost.
    #[arg(long, value_name = "DUR", value_parser = duration::parse_positive)]
    pub(crate) hold_max: Option<Duration>,
}

/// The arguments of a command that runs under a lock.
#[derive(Args, Debug)]
pub(crate) struct GuardArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) hold: HoldArgs,
    #[command(flatten)]
    pub(crate) loss: LossArgs,
    /// Name of the lock or election: 1 to 512 bytes of UTF-8.
    pub(crate) name: String,
    /// Command and arguments, run without a shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}
