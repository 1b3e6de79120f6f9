//! `leasehold release`: releases the hold of a ticket.

use std::{io::Read, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use leasehold::{Ticket, store::Release};
use serde_json::json;

use super::common::StoreArgs;
use crate::{exit, output::Output, store_location::disconnect};

/// Limit of the input: longer text is no ticket.
const TICKET_BYTES_MAX: u64 = 16 * 1024;

/// Release the hold of a ticket.
///
/// Exits with 79 if the hold had already ended: work done under it may have overlapped with another holder.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Ticket that `leasehold hold` printed; `-` reads it from stdin, so that `ps` does not show it.
    ticket: String,
}

pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let ticket: Ticket = read(&arguments.ticket)?.trim().parse()?;
    let client = arguments.store.location()?.connect(|options| options).await?;
    let release = client.release(&ticket).await;
    disconnect(&client).await;
    let released = release? == Release::Released;
    let name = &ticket.name;
    output.data(|| json!({ "lock": name.as_str(), "released": released }), String::new)?;
    if released {
        output.say(format!("released `{name}`"));
        return Ok(ExitCode::SUCCESS);
    }
    output.say(format!("error: `{name}` is no longer held by this ticket"));
    output.say("hint: the hold had ended: work done under it may have overlapped with another holder");
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
