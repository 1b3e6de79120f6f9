//! `cargo lab simulate list`: the scenarios.

use std::process::ExitCode;

use crate::scenario::{ALL, Scenario};
use serde_json::{Value, json};

use crate::output::Output;

/// List the scenarios: what goes wrong in each, and what is promised all the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(output: Output) -> ExitCode {
    output.data(|| ALL.iter().map(value).collect(), || ALL.iter().map(line).collect());
    ExitCode::SUCCESS
}

fn value(scenario: &Scenario) -> Value {
    json!({
        "name": scenario.name,
        "about": scenario.about,
        "servers": scenario.nodes,
        "clients": scenario.clients,
        "excludes": scenario.excludes(),
        "control": scenario.control.map(|control| control.to_string()),
    })
}

fn line(scenario: &Scenario) -> String {
    format!("{:24} {}\n", scenario.name, scenario.about)
}
