//! `leasehold run`: runs a command under a lock.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, ValueHint};
use leasehold::{LockName, store::Capability};

use super::common::{HoldArgs, LossArgs, ModeArgs, StoreArgs, WaitArgs};
use crate::{
    acquire::WaitRequest,
    describe,
    duration::{parse_positive, show},
    exit::{self, CliError},
    guarded_run::GuardedRun,
    hold_plan::HoldPlan,
    lock::WaitLimit,
    output::Output,
    store_location::disconnect,
    supervise::signals::Signals,
};

/// Run a command while holding a lock.
///
/// The command gets LEASEHOLD_NAME, LEASEHOLD_FENCING_TOKEN, LEASEHOLD_SEQUENCER, LEASEHOLD_STORE and LEASEHOLD_TTL_MS in
/// its environment. It runs in its own process group, and leasehold forwards signals to that group. If the lease cannot be
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
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub(crate) hold: HoldArgs,
    #[command(flatten)]
    loss: LossArgs,
    /// Keep the lock for at least this long, even if the command ends earlier. Leasehold itself exits with the command.
    #[arg(long, value_name = "DUR", value_parser = parse_positive)]
    hold_at_least: Option<Duration>,
    /// Name of the lock: 1 to 512 bytes of UTF-8.
    name: String,
    /// Command and arguments, run without a shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// Acquires the lock, runs the command and releases the lock.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = arguments.store.location()?;
    let plan = HoldPlan::new(&arguments.hold, &arguments.loss, location.ttl())?;
    check_hold_limits(&arguments)?;
    let mut signals = Signals::new()?;
    let note = describe::own_note(&arguments.command, arguments.hold.note.as_deref());
    let connecting = location.connect(|options| plan.options(options, note));
    let client = match signals.unless_ended(connecting).await {
        Ok(client) => client?,
        Err(signal) => return Ok(exit::of_signal(signal.as_raw()).into()),
    };
    let guarded = GuardedRun {
        command: &arguments.command,
        plan: &plan,
        location: &location,
        client: &client,
        wait: &arguments.wait,
        hold_at_least: arguments.hold_at_least,
        output,
    };
    let code = acquire_and_run(&arguments, &name, &guarded, &mut signals).await;
    disconnect(&client).await;
    Ok(code?.into())
}

async fn acquire_and_run(
    arguments: &Arguments,
    name: &LockName,
    guarded: &GuardedRun<'_>,
    signals: &mut Signals,
) -> Result<u8> {
    check_capability(arguments.hold_at_least, guarded.client.capability())?;
    let lock = arguments.mode.lock(guarded.client, name)?;
    let limit = arguments.wait.limit(WaitLimit::by_default());
    let request = WaitRequest { name, limit, is_fair: arguments.mode.fair };
    Ok(guarded.run(lock, request, signals).await?.code)
}

fn check_hold_limits(arguments: &Arguments) -> Result<()> {
    match (arguments.hold_at_least, arguments.loss.hold_max) {
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
