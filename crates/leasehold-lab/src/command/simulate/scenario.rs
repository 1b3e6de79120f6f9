//! `cargo lab simulate --scenario NAME --seed N`: one run in a virtual world.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    config::RunConfig,
    faults::{self, BadFault, PlannedFault},
    model::Strategy,
    output::{Output, Refusal, USAGE},
    resource::Fence,
    run::{Run, play},
    scenario::Scenario,
    timeline, trace,
};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// The scenario: `cargo lab simulate list` names them.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// The seed: it decides everything.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Clients: leasehold, leasehold-guard, bare-delete, owner-checked, watchdog or redlock.
    #[arg(long, value_name = "WHO")]
    contestant: Option<Strategy>,
    /// Use of fencing tokens by the resource: none, on-write or by-claim.
    #[arg(long, value_name = "HOW")]
    fence: Option<Fence>,
    /// How many servers; of more than one, a majority decides.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: Option<u32>,
    /// How many clients.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    clients: Option<u32>,
    /// How often each client asks before the last fault is over.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Faults, instead of those of the seed: `pause:c1@120+800,cut:c2>n1@0+500`.
    #[arg(long, value_name = "LIST", value_parser = faults)]
    faults: Option<Faults>,
    /// Draw the timeline into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Print the run as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A list as one value: an argument that is a `Vec` would be given several times.
#[derive(Clone, Debug)]
struct Faults(Vec<PlannedFault>);

fn faults(text: &str) -> Result<Faults, BadFault> {
    faults::parse(text).map(Faults)
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<ExitCode> {
    let config = config(arguments)?;
    let run = play(config.clone());
    if let Some(path) = &arguments.svg {
        let picture = timeline::draw(&config, &run);
        std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output.data(|| value(&config, &run), || trace::text(&config, &run));
    Ok(if run.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refuse(message: String, hint: &str) -> anyhow::Error {
    Refusal::with_code(USAGE, message, hint.to_string())
}

fn config(arguments: &Arguments) -> Result<RunConfig> {
    let hint = "`cargo lab simulate list` names the scenarios";
    let name = arguments.scenario.as_deref().ok_or_else(|| refuse("no scenario was named".into(), hint))?;
    let scenario =
        Scenario::named(name).ok_or_else(|| refuse(format!("there is no scenario `{name}`"), hint))?;
    let usual = RunConfig::of(scenario, arguments.seed);
    let nodes = arguments.nodes.unwrap_or(scenario.nodes);
    if nodes.is_multiple_of(2) {
        return Err(refuse(format!("{nodes} servers cannot vote"), "use one, three or five"));
    }
    let clients = arguments.clients.unwrap_or(scenario.clients);
    let chosen = || scenario.faults_of(arguments.seed, nodes, clients);
    let faults = arguments.faults.clone().map_or_else(chosen, |faults| faults.0);
    if let Some(fault) = faults.iter().find(|fault| !fault.target.exists(nodes, clients)) {
        return Err(refuse(format!("`{fault}` is about nobody"), "name clients and servers that play"));
    }
    Ok(RunConfig {
        strategy: arguments.contestant.unwrap_or(usual.strategy),
        fence: arguments.fence.unwrap_or(usual.fence),
        nodes,
        clients,
        rounds: arguments.rounds.unwrap_or(scenario.rounds),
        faults,
        ..usual
    })
}

fn value(config: &RunConfig, run: &Run) -> Value {
    json!({
        "scenario": config.scenario.name,
        "seed": config.seed,
        "contestant": config.strategy.to_string(),
        "faults": faults::join(&config.faults),
        "good": run.is_good(),
        "figures": run.figures,
        "broken": run.broken,
        "history": run.history,
        "command": config.command(),
    })
}
