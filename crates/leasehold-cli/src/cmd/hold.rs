//! `leasehold hold`: takes a lock that outlives this process.

use std::{io, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use leasehold::{Client, LockName, LockOptions, Ticket};
use serde_json::json;

use super::common::{ModeArgs, StoreArgs, WaitArgs};
use crate::{
    acquire::{Acquired, WaitRequest, acquire},
    describe,
    duration::{millis, parse_positive, show},
    exit::{self, CliError},
    lock::WaitLimit,
    output::Output,
    store_location::disconnect,
    supervise::signals::Signals,
};

/// Take a lock that outlives this process, and print its ticket.
///
/// Only the ticket is printed on stdout. The ticket proves ownership: anyone who has it can release the lock. The hold ends
/// after the time given, or with `leasehold release`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Duration of the hold, which is not renewed.
    #[arg(long = "for", value_name = "DUR", value_parser = parse_positive)]
    span: Duration,
    /// Text that other clients see.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Name of the lock: 1 to 512 bytes of UTF-8.
    name: String,
}

/// Acquires the lock and prints the ticket.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = arguments.store.location(output)?;
    let mut signals = Signals::new()?;
    let note = describe::own_note(String::new(), arguments.note.as_deref());
    let span = arguments.span;
    // The usual ttl until the lock is held, since it is also how long a dead waiter keeps its place in the queue; but not
    // more than the span, since detaching never shortens a hold.
    let limit = location.default(|defaults| defaults.wait).unwrap_or_else(WaitLimit::by_default);
    let limit = arguments.wait.limit(limit);
    let connecting = location.connect_within(limit, output, |options| {
        let ttl = options.ttl.min(span);
        LockOptions { ttl, note: Some(note.clone().into()), ..options }
    });
    let (client, limit) = signals.unless_ended(connecting).await??;
    let code = hold(&arguments, &name, &client, limit, &mut signals, output).await;
    disconnect(&client, &code).await;
    Ok(code?.into())
}

async fn hold(
    arguments: &Arguments,
    name: &LockName,
    client: &Client,
    limit: WaitLimit,
    signals: &mut Signals,
    output: Output,
) -> Result<u8> {
    let capability = client.capability();
    if !(capability.ttl_min..=capability.ttl_max).contains(&arguments.span) {
        let (least, most) = (show(capability.ttl_min), show(capability.ttl_max));
        let message = format!("{} keeps a lock for {least} to {most}", capability.scheme);
        return Err(CliError::usage(message, "choose --for within these bounds"));
    }
    if !capability.detach {
        let message = format!("{} in this dialect has no holds that outlive their client", capability.scheme);
        return Err(CliError::usage(
            message,
            "use `leasehold run`, which holds the lock while a command runs",
        ));
    }
    describe::check_kept("--note", arguments.note.as_deref(), capability)?;
    let lock = arguments.mode.lock(client, name)?;
    let request = WaitRequest { name, limit, is_fair: arguments.mode.fair };
    let hold = match acquire(lock, request, client, signals, output).await? {
        Acquired::Held(hold) => hold,
        Acquired::Busy(report) => return Ok(report.print(&arguments.wait, output)),
    };
    let fence = hold.lease().fencing_token().map(|token| token.get());
    let ticket = hold.detach(arguments.span).await?;
    let (text, span_ms) = (ticket.to_string(), millis(arguments.span));
    let written = output.deliver(
        || json!({ "lock": name.as_str(), "ticket": text, "fencing_token": fence, "held_for_ms": span_ms }),
        || format!("{text}\n"),
    );
    match written {
        Ok(()) => Ok(0),
        Err(error) => Err(undo(client, &ticket, &error).await),
    }
}

/// Releases a hold whose ticket nobody has.
async fn undo(client: &Client, ticket: &Ticket, error: &io::Error) -> anyhow::Error {
    let outcome = match client.release(ticket).await {
        Ok(_) => "the lock was released".to_string(),
        Err(error) => format!("the lock stays until its time is over, because the release failed: {error}"),
    };
    let message = format!("the ticket of `{}` cannot be written: {error}; {outcome}", ticket.name);
    CliError::with_code(
        exit::SOFTWARE,
        message,
        "write the ticket to a pipe or a file with room, and hold again",
    )
}
