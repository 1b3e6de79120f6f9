//! `leasehold elect`: runs a command while being the leader.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, ValueHint};
use leasehold::LockName;

use super::common::{HoldArgs, LossArgs, StoreArgs, WaitArgs};
use crate::{
    acquire::WaitRequest,
    describe, exit,
    guarded_run::GuardedRun,
    hold_plan::HoldPlan,
    lock::{Lock, WaitLimit},
    output::Output,
    store_location::disconnect,
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
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    hold: HoldArgs,
    #[command(flatten)]
    loss: LossArgs,
    /// Value that the leader publishes to observers, such as its address.
    #[arg(long, value_name = "TEXT", default_value = "")]
    value: String,
    /// Campaign again after the command has ended or the lease was lost, until a signal ends leasehold.
    #[arg(long)]
    forever: bool,
    /// Name of the election: 1 to 512 bytes of UTF-8.
    name: String,
    /// Command and arguments, run without a shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// Campaigns, leads and resigns; with `--forever` again and again.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = arguments.store.location()?;
    let plan = HoldPlan::new(&arguments.hold, &arguments.loss, location.ttl())?;
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
        hold_at_least: None,
        output,
    };
    let code = campaign(&arguments, &name, &guarded, &mut signals).await;
    disconnect(&client).await;
    Ok(code?.into())
}

async fn campaign(
    arguments: &Arguments,
    name: &LockName,
    guarded: &GuardedRun<'_>,
    signals: &mut Signals,
) -> Result<u8> {
    let limit = arguments.wait.limit(WaitLimit::Forever);
    loop {
        let lock = Lock::Election(guarded.client.election(name)?, arguments.value.clone());
        let end = guarded.run(lock, WaitRequest { name, limit, is_fair: false }, signals).await?;
        if !arguments.forever || end.is_final {
            return Ok(end.code);
        }
        guarded.output.say(format!("campaigning for `{name}` again: the command ended with {}", end.code));
        let pause = guarded.client.env().sleep(CAMPAIGN_PAUSE);
        if let Err(signal) = signals.unless_ended(pause).await {
            return Ok(exit::of_signal(signal.as_raw()));
        }
    }
}
