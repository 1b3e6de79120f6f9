//! `leasehold run`: runs a command under a lock.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use leasehold::store::Capability;

use super::common::{GuardArgs, ModeArgs};
use crate::{
    duration::{parse_positive, show},
    exit::CliError,
    guarded_run::GuardedRun,
    lock::WaitLimit,
    once_run::{SlotArgs, run_once},
    output::Output,
    supervise::signals::Signals,
};

/// Run a command while holding a lock.
///
/// The command gets LEASEHOLD_NAME, LEASEHOLD_FENCING_TOKEN, LEASEHOLD_SEQUENCER, LEASEHOLD_STORE, LEASEHOLD_TTL_MS and
/// LEASEHOLD_RUN_ID in its environment. It runs in its own process group, and leasehold forwards signals to that group. If the lease cannot be
/// renewed, the command is stopped before the lease ends. If leasehold itself is killed, the command is killed too.
///
/// On a terminal the command is in the foreground, as if the shell had started it. Elsewhere, and in pipelines, a second
/// SIGINT within 3s kills it. After a signal that asks to end, leasehold keeps the lock until the whole process group has
/// ended, and kills what is left of it after the grace. Background processes of a command that ended by itself are left
/// alone.
///
/// Waiting clients see host, process id and command line of the holder. Values of arguments that look secret (password,
/// passwd, secret, token, key, auth, and passwords in URLs) are masked.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    /// Keep the lock for at least this long, even if the command ends earlier. Leasehold itself exits with the command. A lock
    /// is never shortened: it stays for what is left of its --ttl if that is longer.
    #[arg(long, value_name = "DUR", value_parser = parse_positive)]
    hold_at_least: Option<Duration>,
    #[command(flatten)]
    slot: SlotArgs,
}

/// Acquires the lock, runs the command and releases the lock.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    check_hold_limits(&arguments)?;
    arguments.slot.check()?;
    let mut signals = Signals::new()?;
    let connecting =
        GuardedRun::connect(&arguments.guard, WaitLimit::by_default(), arguments.hold_at_least, output);
    let guarded = signals.unless_ended(connecting).await??;
    let code = acquire_and_run(&arguments, &guarded, &mut signals).await;
    guarded.disconnect(&code).await;
    Ok(code?.into())
}

async fn acquire_and_run(
    arguments: &Arguments,
    guarded: &GuardedRun<'_>,
    signals: &mut Signals,
) -> Result<u8> {
    if arguments.slot.is_given() {
        return run_once(guarded, &arguments.slot, arguments.hold_at_least, signals).await;
    }
    check_capability(arguments.hold_at_least, guarded.client.capability())?;
    let lock = arguments.mode.lock(&guarded.client, &guarded.name)?;
    Ok(guarded.run(lock, guarded.limit, arguments.mode.fair, signals).await?.code)
}

fn check_hold_limits(arguments: &Arguments) -> Result<()> {
    match (arguments.hold_at_least, arguments.guard.loss.hold_max) {
        (Some(least), Some(most)) if least > most => {
            let message = format!("--hold-at-least {} is longer than --hold-max {}", show(least), show(most));
            Err(CliError::usage(message, "the lock is released at --hold-max"))
        }
        _ => Ok(()),
    }
}

fn check_capability(hold_at_least: Option<Duration>, capability: &Capability) -> Result<()> {
    let scheme = &capability.scheme;
    match hold_at_least {
        Some(_) if !capability.detach => {
            let message = format!("{scheme} cannot keep a lock after its process has ended");
            Err(CliError::usage(message, "--hold-at-least needs a store that can: see `leasehold stores`"))
        }
        Some(least) if least > capability.ttl_max => {
            let message = format!("{scheme} keeps a lock for at most {}", show(capability.ttl_max));
            Err(CliError::usage(message, "lower --hold-at-least"))
        }
        _ => Ok(()),
    }
}
