//! `leasehold elect`: runs a command while being the leader.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;

use super::common::GuardArgs;
use crate::{
    describe::check_kept,
    guarded_run::GuardedRun,
    lock::{Lock, WaitLimit},
    output::Output,
    store_location::is_away,
    supervise::signals::Signals,
};

/// Pause between two campaigns, so that other candidates are elected and a command that fails at once does not spin.
const CAMPAIGN_PAUSE: Duration = Duration::from_secs(1);

/// Run a command while being the leader.
///
/// Waits to be elected, without a limit unless --wait sets one. Resigns when the command ends. If the lease is lost, the
/// command is stopped as by `run`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    guard: GuardArgs,
    /// Value that the leader publishes to observers, such as its address.
    #[arg(long, value_name = "TEXT", default_value = "")]
    value: String,
    /// Campaign again after the command has ended or the lease was lost, until a signal ends leasehold.
    #[arg(long)]
    forever: bool,
}

/// Campaigns, leads and resigns; with `--forever` again and again.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let connecting = GuardedRun::connect(&arguments.guard, WaitLimit::Forever, None, output);
    let guarded = signals.unless_ended(connecting).await??;
    let code = campaign(&arguments, &guarded, &mut signals).await;
    guarded.disconnect(&code).await;
    Ok(code?.into())
}

async fn campaign(arguments: &Arguments, guarded: &GuardedRun<'_>, signals: &mut Signals) -> Result<u8> {
    let (client, name) = (&guarded.client, &guarded.name);
    check_kept("--value", Some(&arguments.value), client.capability())?;
    // The wait for the store counts for the first campaign only.
    let mut limit = guarded.limit;
    loop {
        let lock = Lock::Election(client.election(name)?, arguments.value.clone());
        let reason = match guarded.run(lock, limit, false, signals).await {
            // An outage ends no campaign that is to go on for ever.
            Err(error) if arguments.forever && is_away(&error) => error.to_string(),
            Err(error) => return Err(error),
            Ok(end) if !arguments.forever || end.is_final => return Ok(end.code),
            Ok(end) => format!("the command ended with {}", end.code),
        };
        limit = arguments.guard.wait.limit(WaitLimit::Forever);
        guarded.output.say(format!("campaigning for `{name}` again: {reason}"));
        signals.unless_ended(client.env().sleep(CAMPAIGN_PAUSE)).await?;
    }
}
