//! `leasehold stores`: capabilities of each store.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use leasehold::store::{Capability, Fencing, Liveness, POSTGRES_SCHEMA, stores};
use serde_json::{Value, json};

use crate::{
    config::{Config, NamedStore},
    duration::{millis, show},
    output::Output,
};

/// List the capabilities of each store, without asking a server.
///
/// Levels of SAFETY.md: E two holders at once are possible, L at most one valid holder under the listed assumptions, F correct
/// if the resource checks fencing tokens, T correct for data that is written to the store itself.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print the script that makes the schema of a store instead, for those who migrate databases by hand.
    #[arg(long, value_name = "STORE")]
    sql: Option<SqlStore>,
    /// List the stores that leasehold.toml names instead.
    #[arg(long, conflicts_with = "sql")]
    named: bool,
}

/// The stores with a schema.
#[derive(Clone, Copy, ValueEnum, Debug)]
enum SqlStore {
    Postgres,
}

/// Prints a table, or one JSON array.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<ExitCode> {
    if let Some(SqlStore::Postgres) = arguments.sql {
        output.data(|| json!({ "sql": POSTGRES_SCHEMA }), || POSTGRES_SCHEMA.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.named {
        return named(output);
    }
    let stores = stores()?;
    output.data(
        || stores.iter().map(|(url, capability)| to_json(url, capability)).collect(),
        || format!("{}\n", table(&stores)),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The stores of `leasehold.toml`, the one that is used where none is named first.
fn named(output: Output) -> Result<ExitCode> {
    let config = Config::read()?;
    let (used, mut stores) = (config.store()?.map(|store| store.name), config.stores()?);
    let is_used = |store: &NamedStore| used.as_ref() == Some(&store.name);
    stores.sort_by_key(|store| !is_used(store));
    let row = |store: &NamedStore| {
        json!({
            "name": store.name,
            "store": store.url.to_string(),
            "file": store.file,
            "default": is_used(store),
            "warnings": store.warnings,
        })
    };
    let mut table = empty_table();
    table.set_header(["NAME", "STORE", "FILE", "DEFAULT"]);
    for store in &stores {
        let file = store.file.display().to_string();
        table.add_row([store.name.clone(), store.url.to_string(), file, yes(is_used(store))]);
    }
    output.data(|| stores.iter().map(row).collect(), || format!("{table}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn to_json(url: &str, capability: &Capability) -> Value {
    json!({
        "store": url,
        "levels": levels(capability),
        "modes": modes(capability),
        "fifo": capability.fifo,
        "fencing": fencing(capability.fencing),
        "freed_after_a_crash": freed(capability.liveness),
        "waiters": capability.waiters,
        "wakes": capability.wakes,
        "detach": capability.detach,
        "notes": capability.notes,
        "lists": capability.lists,
        "lock_delay": capability.lock_delay,
        "votes": capability.votes,
        "ttl_min_ms": millis(capability.ttl_min),
        "ttl_max_ms": millis(capability.ttl_max),
        "drift_per_mille": capability.drift.per_mille,
        "drift_fixed_ms": millis(capability.drift.fixed),
    })
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// One row per store.
fn table(stores: &[(&str, Capability)]) -> Table {
    let mut table = empty_table();
    table.set_header([
        "STORE", "LEVELS", "MODES", "FAIR", "FENCING", "FREED BY", "WAITERS", "WAKES", "DETACH", "NOTES",
        "LISTED", "DELAY", "VOTES", "TTL", "DRIFT",
    ]);
    for (url, capability) in stores {
        let row = [(*url).to_string(), levels(capability).join(" "), modes(capability).join(" ")];
        let more = [
            yes(capability.fifo),
            fencing(capability.fencing).to_string(),
            freed(capability.liveness).to_string(),
            yes(capability.waiters),
            yes(capability.wakes),
            yes(capability.detach),
            yes(capability.notes),
            yes(capability.lists),
            yes(capability.lock_delay),
            yes(capability.votes),
            format!("{} to {}", show(capability.ttl_min), show(capability.ttl_max)),
            drift(capability),
        ];
        table.add_row(row.into_iter().chain(more));
    }
    table
}

fn levels(capability: &Capability) -> Vec<String> {
    capability.levels().into_iter().map(String::from).collect()
}

fn modes(capability: &Capability) -> Vec<&'static str> {
    let modes = [(true, "exclusive"), (capability.shared, "shared"), (capability.permits > 0, "permits")];
    modes.into_iter().filter(|(has, _)| *has).map(|(_, mode)| mode).collect()
}

fn fencing(fencing: Fencing) -> &'static str {
    match fencing {
        Fencing::None => "none",
        Fencing::UntilRestart => "until-restart",
        Fencing::Durable => "durable",
    }
}

/// The event that frees the hold of a crashed client.
fn freed(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Ttl => "ttl",
        Liveness::Session => "session",
        Liveness::Process => "process",
    }
}

fn drift(capability: &Capability) -> String {
    let drift = capability.drift;
    let part = f64::from(drift.per_mille) / 10.0;
    match (drift.per_mille, drift.fixed.is_zero()) {
        (0, true) => "none".to_string(),
        (_, true) => format!("{part} %"),
        (0, false) => show(drift.fixed),
        (_, false) => format!("{part} % + {}", show(drift.fixed)),
    }
}

fn yes(has: bool) -> String {
    if has { "yes" } else { "-" }.to_string()
}
