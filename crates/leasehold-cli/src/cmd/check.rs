//! `leasehold check`: whether a sequencer is still valid.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use leasehold::Sequencer;
use serde_json::json;

use super::common::StoreArgs;
use crate::{exit, output::Output};

/// Check whether a sequencer is still valid.
///
/// Exits with 0 if the grant of the sequencer still holds the lock, with 1 if it is stale. The answer may be outdated when
/// you read it: a resource is safe only if it refuses lower fencing tokens itself.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Value of LEASEHOLD_SEQUENCER.
    sequencer: String,
}

pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let sequencer: Sequencer = arguments.sequencer.trim().parse()?;
    let valid =
        arguments.store.location(output)?.ask(async |client| Ok(client.check(&sequencer).await?)).await?;
    let (name, token) = (sequencer.name(), sequencer.fencing_token());
    output.data(
        || json!({ "lock": name.as_str(), "fencing_token": token.get(), "valid": valid }),
        || {
            let state = if valid { "valid: it still holds" } else { "stale: it no longer holds" };
            format!("{state} `{name}` with fencing token {token}\n")
        },
    )?;
    Ok(if valid { ExitCode::SUCCESS } else { exit::STALE.into() })
}
