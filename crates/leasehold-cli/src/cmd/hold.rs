//! `leasehold hold`: a lock that outlives this process.

use std::process::ExitCode;

use anyhow::Result;
use leasehold::{Client, LockName};
use serde_json::json;

use crate::{
    args::{HoldArguments, OnBusy, Waiting},
    duration::{millis, show},
    duty::leave,
    entry::{Approach, Entry, enter},
    exit::{self, Refusal},
    holder,
    lock::Lock,
    message::Output,
    store::Location,
    supervise::signals::Signals,
};

/// Takes the lock and prints the ticket.
pub(crate) async fn run(arguments: HoldArguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = Location::find(arguments.common.store.as_deref())?;
    let mut signals = Signals::new()?;
    let note = holder::own_note(&[], arguments.note.as_deref());
    let span = arguments.span;
    // Not the whole span yet: that is also how long a waiter that dies may keep its place. And not more than the span:
    // a hold that is detached is never shortened.
    let client = location
        .connect(|terms| {
            let ttl = terms.ttl.min(span);
            terms.ttl(ttl).note(note)
        })
        .await?;
    let code = hold(&arguments, &name, &client, &mut signals, output).await;
    leave(&client).await;
    Ok(code?.into())
}

async fn hold(
    arguments: &HoldArguments,
    name: &LockName,
    client: &Client,
    signals: &mut Signals,
    output: Output,
) -> Result<u8> {
    let capability = client.engine().store().capability();
    if !(capability.ttl_min..=capability.ttl_max).contains(&arguments.span) {
        let (least, most) = (show(capability.ttl_min), show(capability.ttl_max));
        let message = format!("{} keeps a hold for {least} to {most}", capability.scheme);
        return Err(Refusal::usage(message, "choose --for within these bounds"));
    }
    let lock = Lock::new(client, name, &arguments.sharing)?;
    let approach = Approach {
        name,
        waiting: arguments.patience.waiting(Waiting::by_default()),
        is_fair: arguments.sharing.fair,
    };
    let hold = match enter(lock, approach, client.engine().env(), signals, output).await? {
        Entry::Interrupted(signal) => return Ok(exit::of_signal(signal.as_raw())),
        Entry::Busy(refused) => {
            let skips = arguments.patience.on_busy == OnBusy::Skip;
            return Ok(refused.report(skips, arguments.patience.busy_exit_code, output));
        }
        Entry::Held(hold) => hold,
    };
    let fence = hold.lease().fencing_token().map(|token| token.get());
    let ticket = hold.detach(arguments.span).await?.to_string();
    let span_ms = millis(arguments.span);
    output.data(
        || json!({ "lock": name.as_str(), "ticket": ticket, "fencing_token": fence, "held_for_ms": span_ms }),
        || format!("{ticket}\n"),
    );
    Ok(0)
}
