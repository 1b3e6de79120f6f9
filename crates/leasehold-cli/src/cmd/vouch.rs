//! `leasehold vouch`: members of a quorum that are new get their vote at once.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::{args::Common, exit, message::Output, store::Location};

/// Give new members of a quorum their vote at once.
///
/// A server that has just come up, or was emptied, may have forgotten who holds, so it has no vote until the longest lease
/// has passed. Only you can know that it is new and that nobody can hold anything on it: say so for a quorum that is being
/// set up, never after a crash.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Vouches for every member.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let location = Location::find(arguments.common.store.as_deref())?;
    let members = leasehold::diagnose::promote(location.url()).await?;
    output.data(
        || json!({ "store": location.shown(), "members": members }),
        || format!("vouched for {members} members of {}\n", location.shown()),
    );
    Ok(exit::success())
}
