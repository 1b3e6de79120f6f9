//! `cargo lab simulate`: what becomes of locks when things fail, in a virtual world and on real servers.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::value_parser;
use serde_json::{Value, json};

use crate::{
    config::RunConfig,
    faults::{self, BadFault, PlannedFault},
    ladder, matrix,
    model::Strategy,
    output::{Output, Refusal, USAGE, write_picture},
    resource::Fence,
    run::{Run, play},
    scenario::{ALL, Scenario},
    timeline, trace,
};

/// See what becomes of locks when things fail.
///
/// With --scenario: plays one run of Leasehold's own code in a virtual world, in which the seed decides everything, and
/// shows what happened. The same command shows the same run, anywhere. Exit code 0 when all rules were kept, 1 when not.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    one_run: OneRun,
    #[command(subcommand)]
    simulation: Option<Simulation>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Simulation {
    Ladder(ladder::Arguments),
    /// List the scenarios: what goes wrong in each, and what is promised all the same.
    List,
    Matrix(Matrix),
}

/// Play every fault against every way to lock, and draw the matrix.
///
/// In a virtual world, in which the seeds decide everything: the same program makes the same matrix, anywhere. It takes a
/// while. Each cell counts over all its runs the grants to a second holder and the acknowledged updates that were lost; as
/// JSON it also has the command that plays the first run in which it went wrong.
#[derive(Debug, clap::Args)]
struct Matrix {
    /// Draw it into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// How many runs a cell.
    #[arg(long, value_name = "N", default_value_t = matrix::SEEDS, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct OneRun {
    /// The scenario: `cargo lab simulate list` names them.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// The seed: it decides everything.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Clients: leasehold, leasehold-guard, bare-delete, owner-checked, watchdog or redlock.
    #[arg(long, value_name = "WHO", hide_possible_values = true)]
    contestant: Option<Strategy>,
    /// Use of fencing tokens by the resource: none, on-write or by-claim.
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    fence: Option<Fence>,
    /// How many servers; of more than one, a majority decides.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=9))]
    nodes: Option<u32>,
    /// How many clients.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=99))]
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
}

/// A list as one value: an argument that is a `Vec` would be given several times.
#[derive(Clone, Debug)]
struct Faults(Vec<PlannedFault>);

fn faults(text: &str) -> Result<Faults, BadFault> {
    faults::parse(text).map(Faults)
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let output = Output { json: arguments.json };
    let ended = match &arguments.simulation {
        None => play_one(&arguments.one_run, output),
        Some(Simulation::Ladder(arguments)) => ladder::run(arguments, output),
        Some(Simulation::List) => {
            output.data(|| ALL.iter().map(described).collect(), || ALL.iter().map(line).collect());
            Ok(ExitCode::SUCCESS)
        }
        Some(Simulation::Matrix(arguments)) => play_matrix(arguments, output),
    };
    ended.unwrap_or_else(|error| output.failure(&error))
}

fn described(scenario: &Scenario) -> Value {
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

fn play_matrix(arguments: &Matrix, output: Output) -> Result<ExitCode> {
    let rows = matrix::compute(arguments.seeds);
    write_picture(arguments.svg.as_deref(), || matrix::draw(&rows))?;
    output.data(|| json!(rows), || matrix::text(&rows));
    Ok(ExitCode::SUCCESS)
}

fn play_one(arguments: &OneRun, output: Output) -> Result<ExitCode> {
    let config = config(arguments)?;
    let run = play(config.clone());
    write_picture(arguments.svg.as_deref(), || timeline::draw(&config, &run))?;
    output.data(|| value(&config, &run), || trace::text(&config, &run));
    Ok(if run.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refuse(message: impl Into<String>, hint: &str) -> anyhow::Error {
    Refusal::with_code(USAGE, message, hint)
}

fn config(arguments: &OneRun) -> Result<RunConfig> {
    let hint = "`cargo lab simulate list` names the scenarios";
    let name = arguments.scenario.as_deref().ok_or_else(|| refuse("no scenario was named", hint))?;
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
