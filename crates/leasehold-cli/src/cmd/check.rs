//! `leasehold check`: whether a sequencer is still valid.

use std::process::ExitCode;

use anyhow::Result;
use leasehold::Sequencer;
use serde_json::json;

use crate::{args::CheckArguments, duty::leave, exit, message::Output, store::Location};

/// Asks the store.
pub(crate) async fn run(arguments: CheckArguments, output: Output) -> Result<ExitCode> {
    let sequencer: Sequencer = arguments.sequencer.trim().parse()?;
    let location = Location::find(arguments.common.store.as_deref())?;
    let client = location.connect(|terms| terms).await?;
    let valid = client.check(&sequencer).await;
    leave(&client).await;
    let valid = valid?;
    let (name, token) = (sequencer.name(), sequencer.fencing_token());
    output.data(
        || json!({ "lock": name.as_str(), "fencing_token": token.get(), "valid": valid }),
        || {
            let verdict = if valid { "valid: it still holds" } else { "stale: it no longer holds" };
            format!("{verdict} `{name}` with fencing token {token}\n")
        },
    );
    Ok(if valid { exit::success() } else { exit::STALE.into() })
}
