//! Every scenario, seed after seed: Leasehold keeps all rules, and the naive client of the same scenario does not.
//!
//! `LEASEHOLD_SEEDS=1000000` plays more seeds a scenario, `LEASEHOLD_SEED=7` this one alone. A seed that fails prints the
//! command that plays it again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test that prints its table")]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use leasehold_lab::{
    checker::{Figures, Rule},
    config::RunConfig,
    resource::Fence,
    run::{play, smallest},
    scenario::{ALL, Scenario},
    timeline, trace,
};

/// The seeds of a scenario.
const SEEDS: u64 = 2000;
/// The control plays one of that many seeds as well.
const CONTROL_EVERY: u64 = 10;
/// The number of seeds taken at a time.
const BATCH: u64 = 50;

/// The results of a scenario.
#[derive(Default)]
struct Tally {
    seeds: u64,
    figures: Figures,
    failures: Vec<(u64, String)>,
    /// The results of the control.
    control: Figures,
    control_seeds: u64,
    /// How often somebody waited too long.
    control_waits: u64,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Adds the counts that are printed or judged.
fn add_figures(all: &mut Figures, one: &Figures) {
    all.grants += one.grants;
    all.double_holds += one.double_holds;
    all.writes_refused += one.writes_refused;
    all.reads_refused += one.reads_refused;
    all.faults += one.faults;
    all.updates_lost += one.updates_lost;
}

fn one(scenario: &'static Scenario, seed: u64, with_control: bool) -> Tally {
    let config = RunConfig::of(scenario, seed);
    let run = play(config.clone());
    let failures = run.complaint().map(|complaint| (seed, format!("{complaint}\n    {}", config.command())));
    let mut tally = Tally {
        seeds: 1,
        figures: run.figures,
        failures: failures.into_iter().collect(),
        ..Tally::default()
    };
    if let Some(control) = scenario.control.filter(|_| with_control) {
        let run = play(RunConfig::with(scenario, seed, control, Fence::None));
        tally.control_waits = run.broken.iter().filter(|it| it.rule == Rule::LongWait).count() as u64;
        tally.control = run.figures;
        tally.control_seeds = 1;
    }
    tally
}

fn add(tallies: &mut BTreeMap<&'static str, Tally>, name: &'static str, one: Tally) {
    let all = tallies.entry(name).or_default();
    all.seeds += one.seeds;
    add_figures(&mut all.figures, &one.figures);
    all.failures.extend(one.failures);
    add_figures(&mut all.control, &one.control);
    all.control_seeds += one.control_seeds;
    all.control_waits += one.control_waits;
}

/// One world a thread, two threads.
fn play_all(chosen: &[&'static Scenario], seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, Tally> {
    let per_scenario = (seeds.end - seeds.start).div_ceil(BATCH);
    let (next, tallies) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || loop {
        let job = next.fetch_add(1, Ordering::AcqRel);
        let Some(scenario) = chosen.get((job / per_scenario) as usize) else { return };
        let begin = seeds.start + job % per_scenario * BATCH;
        for seed in begin..(begin + BATCH).min(seeds.end) {
            let with_control = seed % CONTROL_EVERY == 0 || seeds.end - seeds.start == 1;
            let tally = one(scenario, seed, with_control);
            add(&mut tallies.lock().unwrap(), scenario.name, tally);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    tallies.into_inner().unwrap()
}

/// The smallest plan that still does it, as text, and as a picture beside the test.
fn explain(scenario: &'static Scenario, seed: u64) -> String {
    let small = smallest(&RunConfig::of(scenario, seed));
    let run = play(small.clone());
    let path = format!("{}/{}-{seed}.svg", env!("CARGO_TARGET_TMPDIR"), scenario.name);
    let drawn = std::fs::write(&path, timeline::draw(&small, &run));
    let seen = drawn.map_or_else(|error| error.to_string(), |()| format!("drawn in {path}"));
    format!("{}{seen}", trace::text(&small, &run))
}

fn judge(scenario: &'static Scenario, tally: &Tally) -> Result<(), String> {
    if let Some((seed, failure)) = tally.failures.iter().min() {
        let (count, all, shown) = (tally.failures.len(), tally.seeds, explain(scenario, *seed));
        return Err(format!("{count} of {all} seeds fail; the first: {failure}\n{shown}"));
    }
    let failed = tally.control.double_holds + tally.control.updates_lost + tally.control_waits;
    if let Some(control) = scenario.control.filter(|_| failed == 0 && tally.control_seeds > 1) {
        return Err(format!("the control, {control}, did not fail: nothing is shown"));
    }
    Ok(())
}

fn main() -> ExitCode {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if std::env::args().any(|argument| argument == "--list") {
        ALL.iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    let is_exact = std::env::args().any(|argument| argument == "--exact");
    let fits = |name: &str, part: &str| if is_exact { name == part } else { name.contains(part) };
    let is_wanted =
        |scenario: &&Scenario| wanted.is_empty() || wanted.iter().any(|part| fits(scenario.name, part));
    let chosen: Vec<&'static Scenario> = ALL.iter().filter(is_wanted).collect();
    let seeds = match number("LEASEHOLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LEASEHOLD_SEEDS").unwrap_or(SEEDS),
    };
    let tallies = play_all(&chosen, seeds);
    let mut failed = 0;
    println!(
        "{:24} {:>8} {:>9} {:>8} {:>7} {:>8} {:>6}   control",
        "scenario", "seeds", "grants", "double", "refused", "faults", "lost"
    );
    for scenario in &chosen {
        let Some(tally) = tallies.get(scenario.name) else { continue };
        let (figures, control) = (&tally.figures, &tally.control);
        println!(
            "{:24} {:>8} {:>9} {:>8} {:>7} {:>8} {:>6}   {} in {} seeds: {} double holds, {} lost updates, {} long waits",
            scenario.name,
            tally.seeds,
            figures.grants,
            figures.double_holds,
            figures.writes_refused + figures.reads_refused,
            figures.faults,
            figures.updates_lost,
            scenario.control.map_or("none".to_string(), |control| control.to_string()),
            tally.control_seeds,
            control.double_holds,
            control.updates_lost,
            tally.control_waits,
        );
        if let Err(reason) = judge(scenario, tally) {
            failed += 1;
            println!("FAILED {}: {reason}", scenario.name);
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        chosen.len() - failed
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
