//! `leasehold list`: the locks in use.

use std::{num::NonZeroU32, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use leasehold::store::{Contender, Snapshot};
use serde_json::Value;

use super::common::StoreArgs;
use crate::{
    describe::{mode_words, snapshot_to_json, summary},
    duration::show,
    output::Output,
};

/// List the locks in use.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// List at most N locks.
    #[arg(long, value_name = "N", default_value = "1000")]
    limit: NonZeroU32,
    /// Only names with this prefix.
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

/// Prints a table, or one JSON array.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let location = arguments.store.location(output)?;
    let limit = usize::try_from(arguments.limit.get()).unwrap_or(usize::MAX);
    let locks = location.ask(async |client| Ok(client.list(&arguments.prefix, limit).await?)).await?;
    if locks.is_empty() {
        output.say(format!("no lock is in use in {}", location.shown()));
    } else if locks.len() >= limit {
        output.say(format!("only the first {limit} locks are shown: raise --limit, or give a prefix"));
    }
    output.data(
        || Value::Array(locks.iter().map(snapshot_to_json).collect()),
        || {
            if locks.is_empty() {
                String::new()
            } else {
                format!("{}\n", table(&locks.iter().collect::<Vec<_>>()))
            }
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The heads of the columns.
pub(crate) const HEADS: [&str; 7] = ["NAME", "MODE", "HOLDER", "FOR", "LEFT", "TOKEN", "WAITING"];

pub(crate) fn table(locks: &[&Snapshot]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADS);
    for lock in locks {
        table.add_row(cells(lock, Duration::ZERO));
    }
    table
}

/// The cells of a lock, if `elapsed` has passed since the store answered.
pub(crate) fn cells(lock: &Snapshot, elapsed: Duration) -> [String; 7] {
    let first = lock.holders.first();
    let holder = match lock.holders.len() {
        0 => "-".to_string(),
        1 => first.map(summary).unwrap_or_default(),
        more => format!("{} and {} more", first.map(summary).unwrap_or_default(), more - 1),
    };
    [
        lock.name.to_string(),
        first.map_or_else(|| "-".to_string(), |holder| mode_words(holder.mode)),
        holder,
        span(first, |holder| Some(holder.age? + elapsed)),
        span(first, |holder| Some(holder.expires_in?.saturating_sub(elapsed))),
        first.and_then(|holder| holder.fence).map_or_else(|| "-".to_string(), |token| token.to_string()),
        lock.waiters.len().to_string(),
    ]
}

fn span(holder: Option<&Contender>, which: impl Fn(&Contender) -> Option<Duration>) -> String {
    holder.and_then(which).map_or_else(|| "-".to_string(), show)
}
