//! `leasehold release`: the end of a ticket's hold.

use std::{io::Read, process::ExitCode};

use anyhow::{Context, Result};
use leasehold::{Release, Ticket};
use serde_json::json;

use crate::{args::ReleaseArguments, duty::leave, exit, message::Output, store::Location};

/// More is no ticket.
const TICKET_BYTES_MAX: u64 = 16 * 1024;

/// Gives the hold back.
pub(crate) async fn run(arguments: ReleaseArguments, output: Output) -> Result<ExitCode> {
    let ticket: Ticket = read(&arguments.ticket)?.trim().parse()?;
    let location = Location::find(arguments.common.store.as_deref())?;
    let client = location.connect(|terms| terms).await?;
    let release = client.release(&ticket).await;
    leave(&client).await;
    let released = release? == Release::Released;
    let name = &ticket.name;
    output.data(|| json!({ "lock": name.as_str(), "released": released }), String::new);
    if released {
        output.say(format!("released `{name}`"));
        return Ok(exit::success());
    }
    output.say(format!("error: `{name}` was not held by this ticket any more"));
    output.say("hint: the hold had ended: what was done under it may have overlapped with another holder");
    Ok(exit::LOST.into())
}

fn read(argument: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_string());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(TICKET_BYTES_MAX)
        .read_to_string(&mut text)
        .context("cannot read the ticket from stdin")?;
    Ok(text)
}
