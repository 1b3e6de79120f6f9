//! `cargo xtask mutations`: switches each mechanism of `mutations.toml` off and checks that the test named there fails.
//!
//! No program that is shipped has a switch: in a copy of the sources, patches make each mechanism depend on an environment
//! variable. So there is one build for all of them, and each is switched off alone.

mod copy;
mod patch;
mod runner;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::Deserialize;

use crate::test::runner::side_by_side;
use runner::{Outcome, Runner};

/// The variable that names the mutant of a process.
const VARIABLE: &str = "LEASEHOLD_MUTANT";

/// The tests that run side by side.
const AT_ONCE: usize = 3;

type Mutants = BTreeMap<String, Mutant>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    mechanism: String,
    /// The patched file, from the root.
    file: String,
    find: String,
    with: String,
    /// The source that loads `file`, if that is a script.
    loader: Option<String>,
    /// The loading expression there, between braces, with its surroundings.
    by: Option<String>,
    test: Test,
    /// The seeds of a scenario, if the test is one.
    seeds: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Test {
    package: String,
    target: String,
    name: String,
}

impl TryFrom<String> for Test {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [package, target, name] = words[..] else {
            return Err(format!("`{text}` is not a package, a target and a test"));
        };
        Ok(Test { package: package.into(), target: target.into(), name: name.into() })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}::{}", self.package, self.target, self.name)
    }
}

fn read() -> Result<Mutants, String> {
    toml::from_str(include_str!("../mutations.toml")).map_err(|error| format!("mutations.toml: {error}"))
}

/// Runs the mutants whose names contain one of `wanted`, or all.
pub(crate) fn run(wanted: &[String]) -> Result<(), String> {
    let all = read()?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let mut mutants: Vec<(&str, &Mutant)> =
        all.iter().map(|(name, mutant)| (name.as_str(), mutant)).collect();
    mutants.retain(|(name, _)| is_wanted(name));
    if mutants.is_empty() {
        return Err(format!("there is no mutant with {} in its name", wanted.join(" or ")));
    }
    let patched = patch::all(&all)?;
    let tree = copy::refresh(&patched).map_err(|error| format!("no copy could be made: {error}"))?;
    let runner = Runner::build(&tree, mutants.iter().map(|(_, mutant)| *mutant))?;
    let healthy = controls(&runner, &mutants)?;
    let rows = side_by_side(AT_ONCE, &mutants, |&(name, mutant)| {
        let (outcome, took) = runner.run(mutant, Some(name))?;
        let row = Row { name, mutant, is_sound: healthy.contains(&mutant.test), outcome, took };
        println!("{}", row.line());
        Ok(row)
    });
    report(&rows.into_iter().collect::<Result<Vec<_>, String>>()?)
}

/// The tests that pass when nothing is switched off: only they can show anything.
fn controls(runner: &Runner, mutants: &[(&str, &Mutant)]) -> Result<BTreeSet<Test>, String> {
    let tests: BTreeMap<&Test, &Mutant> = mutants.iter().map(|(_, mutant)| (&mutant.test, *mutant)).collect();
    let tests: Vec<&Mutant> = tests.into_values().collect();
    let outcomes = side_by_side(AT_ONCE, &tests, |mutant| runner.run(mutant, None));
    let mut healthy = BTreeSet::new();
    for (mutant, outcome) in tests.iter().zip(outcomes) {
        match outcome?.0 {
            Outcome::Passed => drop(healthy.insert(mutant.test.clone())),
            other => println!("{}: {other} although nothing is switched off", mutant.test),
        }
    }
    Ok(healthy)
}

struct Row<'m> {
    name: &'m str,
    mutant: &'m Mutant,
    outcome: Outcome,
    took: Duration,
    is_sound: bool,
}

impl Row<'_> {
    fn is_caught(&self) -> bool {
        self.is_sound && self.outcome != Outcome::Passed
    }

    fn line(&self) -> String {
        let (name, Mutant { mechanism, test, .. }) = (self.name, self.mutant);
        let verdict = if self.is_caught() { "ok" } else { "FAILED" };
        let sound = if self.is_sound { "" } else { ", which shows nothing" };
        let (outcome, seconds) = (&self.outcome, self.took.as_secs_f64());
        format!("# {name}: {mechanism}: {test} {outcome}{sound} ({seconds:.1} s)\ntest {name} ... {verdict}")
    }
}

/// Prints the table, and the counts as test programs do.
fn report(rows: &[Row<'_>]) -> Result<(), String> {
    let caught = rows.iter().filter(|row| row.is_caught()).count();
    println!("\n| mechanism | where | caught by | seconds |\n|---|---|---|---|");
    for row in rows {
        let Mutant { mechanism, file, test, .. } = row.mutant;
        let by = if row.is_caught() { format!("`{test}`") } else { "**nothing**".to_string() };
        println!("| {mechanism} | {file} | {by} | {:.1} |", row.took.as_secs_f64());
    }
    let missed = rows.len() - caught;
    let verdict = if missed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {caught} passed; {missed} failed; each a mechanism that was switched off"
    );
    if missed == 0 { Ok(()) } else { Err("a mechanism that no test needs".to_string()) }
}
