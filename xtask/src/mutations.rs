//! `cargo xtask mutations`: every mechanism of the stores and the command line is switched off once, and a test that is
//! named here has to fail.
//!
//! What cannot be switched off by a knob without making production worse is switched off by a patch: in a copy of the
//! sources, each of the mechanisms can be taken out by an environment variable. So there is one build for all of them,
//! each is taken out alone, and no program that anybody uses has a switch.

mod copy;
mod patch;
mod runner;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use runner::{Outcome, Runner};
use table::{MUTANTS, Mutant, Test};

/// Which mutant runs; nothing else reads it.
const VARIABLE: &str = "LEASEHOLD_MUTANT";

/// How many tests run side by side.
const AT_ONCE: usize = 3;

/// Runs those whose names contain one of `wanted`, or all.
///
/// # Errors
/// A patch that does not apply any more, a test that fails without a mutant, and a mutant that no test has caught.
pub(crate) fn run(wanted: &[String]) -> Result<(), String> {
    let is_wanted = |mutant: &&Mutant| wanted.is_empty() || wanted.iter().any(|it| mutant.name.contains(it));
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(is_wanted).collect();
    if mutants.is_empty() {
        return Err(format!("there is no mutant with {} in its name", wanted.join(" or ")));
    }
    let tree =
        copy::refresh(&patch::all(MUTANTS)?).map_err(|error| format!("no copy could be made: {error}"))?;
    let runner = Runner::build(&tree, MUTANTS)?;
    let healthy = controls(&runner, &mutants)?;
    let rows = side_by_side(&mutants, |mutant| {
        let (outcome, took) = runner.run(&mutant.caught_by, Some(mutant.name))?;
        let row = Row { mutant, is_sound: healthy.contains(&mutant.caught_by), outcome, took };
        println!("{}", row.line());
        Ok(row)
    });
    report(&rows.into_iter().collect::<Result<Vec<_>, String>>()?)
}

/// The tests that pass when nothing is switched off: only they can show anything.
fn controls(runner: &Runner, mutants: &[&Mutant]) -> Result<BTreeSet<Test>, String> {
    let tests: BTreeSet<Test> = mutants.iter().map(|mutant| mutant.caught_by).collect();
    let tests: Vec<Test> = tests.into_iter().collect();
    let outcomes = side_by_side(&tests, |test| Ok((*test, runner.run(test, None)?.0)));
    let mut healthy = BTreeSet::new();
    for outcome in outcomes {
        match outcome? {
            (test, Outcome::Passed) => drop(healthy.insert(test)),
            (test, other) => println!("{test}: {other} although nothing is switched off"),
        }
    }
    Ok(healthy)
}

/// Several at once: most of the time they wait. The answers are in the order of the questions.
fn side_by_side<T: Sync, A: Send>(
    items: &[T],
    ask: impl Fn(&T) -> Result<A, String> + Sync,
) -> Vec<Result<A, String>> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        (at, items.get(at))
    };
    let work = || {
        while let (at, Some(item)) = take() {
            let answer = ask(item);
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(at, answer);
        }
    };
    thread::scope(|scope| {
        for _ in 1..AT_ONCE {
            // One that cannot be started is not needed.
            let _ = thread::Builder::new().name("mutants".into()).spawn_scoped(scope, work);
        }
        work();
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// A mutant and what became of it.
struct Row<'m> {
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
        let Mutant { name, mechanism, caught_by, .. } = self.mutant;
        let verdict = if self.is_caught() { "ok" } else { "FAILED" };
        let shown = if self.is_sound { "" } else { ", which shows nothing" };
        let (outcome, seconds) = (&self.outcome, self.took.as_secs_f64());
        format!(
            "# {name}: {mechanism}: {caught_by} {outcome}{shown} ({seconds:.1} s)\ntest {name} ... {verdict}"
        )
    }
}

/// Prints the table, and the counts as runners of tests do.
fn report(rows: &[Row<'_>]) -> Result<(), String> {
    let caught = rows.iter().filter(|row| row.is_caught()).count();
    println!("\n| mechanism | where | caught by | seconds |\n|---|---|---|---|");
    for row in rows {
        let Mutant { mechanism, edit, caught_by, .. } = row.mutant;
        let by = if row.is_caught() { format!("`{caught_by}`") } else { "**nobody**".to_string() };
        println!("| {mechanism} | {} | {by} | {:.1} |", edit.file(), row.took.as_secs_f64());
    }
    let missed = rows.len() - caught;
    let verdict = if missed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {caught} passed; {missed} failed; each a mechanism that was switched off"
    );
    if missed == 0 { Ok(()) } else { Err("a mechanism that no test needs".to_string()) }
}
