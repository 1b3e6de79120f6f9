//! `leasehold run`: a command under a lock.

use std::process::ExitCode;

use anyhow::Result;
use leasehold::{Client, LockName};

use crate::{
    args::{OnBusy, RunArguments, Waiting},
    duration::show,
    duty::{Duty, leave},
    entry::{Approach, Entry, enter},
    exit::{self, Refusal},
    holder,
    lock::Lock,
    message::Output,
    store::Location,
    supervise::signals::Signals,
    tenure::Plan,
};

/// Runs it.
pub(crate) async fn run(arguments: RunArguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = Location::find(arguments.common.store.as_deref())?;
    let plan = Plan::new(&arguments.tenure, &arguments.loss, location.ttl())?;
    refuse_contradiction(&arguments)?;
    let mut signals = Signals::new()?;
    let note = holder::own_note(&arguments.command, arguments.tenure.note.as_deref());
    let client = tokio::select! {
        biased;
        signal = signals.ending() => return Ok(exit::of_signal(signal.as_raw()).into()),
        client = location.connect(|terms| plan.terms(terms, note)) => client?,
    };
    let code = under_lock(&arguments, &name, &location, &plan, &client, &mut signals, output).await;
    leave(&client).await;
    Ok(code?.into())
}

async fn under_lock(
    arguments: &RunArguments,
    name: &LockName,
    location: &Location,
    plan: &Plan,
    client: &Client,
    signals: &mut Signals,
    output: Output,
) -> Result<u8> {
    refuse_what_the_store_lacks(arguments, client)?;
    let lock = Lock::new(client, name, &arguments.sharing)?;
    let approach = Approach {
        name,
        waiting: arguments.patience.waiting(Waiting::by_default()),
        is_fair: arguments.sharing.fair,
    };
    let env = client.engine().env();
    match enter(lock, approach, env, signals, output).await? {
        Entry::Interrupted(signal) => Ok(exit::of_signal(signal.as_raw())),
        Entry::Busy(refused) => {
            let skips = arguments.patience.on_busy == OnBusy::Skip;
            Ok(refused.report(skips, arguments.patience.busy_exit_code, output))
        }
        Entry::Held(hold) => {
            let duty = Duty {
                command: &arguments.command,
                plan,
                location,
                hold_at_least: arguments.hold_at_least,
                output,
            };
            Ok(duty.run(hold, env, signals).await?.code())
        }
    }
}

fn refuse_contradiction(arguments: &RunArguments) -> Result<()> {
    match (arguments.hold_at_least, arguments.loss.hold_max) {
        (Some(least), Some(most)) if least > most => {
            let message = format!("--hold-at-least {} is longer than --hold-max {}", show(least), show(most));
            Err(Refusal::usage(message, "the lock is given back at --hold-max"))
        }
        _ => Ok(()),
    }
}

fn refuse_what_the_store_lacks(arguments: &RunArguments, client: &Client) -> Result<()> {
    let capability = client.engine().store().capability();
    match arguments.hold_at_least {
        Some(_) if !capability.detach => {
            let message = format!("{} has no holds that outlive their process", capability.scheme);
            Err(Refusal::usage(message, "--hold-at-least needs a store that has them"))
        }
        Some(least) if least > capability.ttl_max => {
            let message =
                format!("{} keeps a hold for at most {}", capability.scheme, show(capability.ttl_max));
            Err(Refusal::usage(message, "lower --hold-at-least"))
        }
        _ => Ok(()),
    }
}
