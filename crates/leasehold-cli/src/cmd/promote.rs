//! `leasehold promote`: gives new members of a quorum their vote.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::common::StoreArgs;
use crate::output::Output;

/// Give new members of a quorum their vote at once.
///
/// A server that was just started, or lost its data, may have forgotten holders. It therefore has no vote until the longest
/// lease has passed. Promote the members of a quorum that is being set up, when no lock can be held on them; never after a
/// crash.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let location = arguments.store.location(output)?;
    let members = leasehold::diagnose::promote(location.url()).await?;
    output.data(
        || json!({ "store": location.shown(), "members": members }),
        || format!("promoted {members} members of {}\n", location.shown()),
    )?;
    Ok(ExitCode::SUCCESS)
}
