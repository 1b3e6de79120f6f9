//! `leasehold release`: releases the hold of a ticket.

use std::{io::Read, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use leasehold::{Ticket, store::Release};
use serde_json::json;

use super::common::StoreArgs;
use crate::{exit, output::Output};

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
    let location = arguments.store.location(output)?;
    let release = location.ask(async |client| Ok(client.release(&ticket).await?)).await?;
    let (released, name) = (release == Release::Released, &ticket.name);
    output.data(|| json!({ "lock": name.as_str(), "released": released }), String::new)?;
    if released {
        output.say(format!("released `{name}`"));
        return Ok(ExitCode::SUCCESS);
    }
    output.say(format!("error: `{name}` is not held by this ticket in {}", location.shown()));
    output.say(
        "hint: name the store of `leasehold hold`; if this is it, the hold had ended, and work done under it may have \
         overlapped with another holder",
    );
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
