//! Builds the tests of the copy, and runs one of them with one mechanism switched off.

use std::{
    collections::BTreeSet,
    env, fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Mutant, VARIABLE};
use crate::{
    files,
    test::{
        self,
        binary::{self, Binary},
        runner, summary,
    },
};

/// The target of the tests inside of a library.
const LIB: &str = "lib";
/// A test that takes longer hangs.
const SECONDS_MAX: u32 = 90;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Passed,
    /// With its message, if it panicked.
    Failed(String),
    /// It did not end in time, and was killed.
    Hung,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => f.write_str("passed"),
            Outcome::Failed(message) => write!(f, "failed: {message}"),
            Outcome::Hung => f.write_str("hung"),
        }
    }
}

pub(super) struct Runner(Vec<Binary>);

impl Runner {
    /// Builds the tests of all mutants.
    ///
    /// All members are named, so that third-party crates have the features that they have in `cargo xtask test`, and
    /// are not compiled a second time; finished programs go elsewhere, so that none is taken for a real one.
    pub(super) fn build<'m>(
        tree: &Path,
        mutants: impl Iterator<Item = &'m Mutant>,
    ) -> Result<Runner, String> {
        let targets: BTreeSet<&str> = mutants.map(|mutant| mutant.test.target.as_str()).collect();
        let mut command = files::cargo(&["test", "--workspace", "--no-run"]);
        command.args(test::FEATURES).current_dir(tree);
        command.args(targets.iter().flat_map(|target| match *target {
            LIB => vec!["--lib"],
            target => vec!["--test", target],
        }));
        let built =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from);
        command.env("CARGO_BUILD_BUILD_DIR", &built);
        command.env("CARGO_TARGET_DIR", built.join("mutations/programs"));
        binary::build(command).map(Runner)
    }

    /// Runs the test of a mutant, with that mutant or with none.
    pub(super) fn run(&self, mutant: &Mutant, name: Option<&str>) -> Result<(Outcome, Duration), String> {
        let test = &mutant.test;
        let program = match test.target.as_str() {
            LIB => test.package.clone(),
            target => format!("{} {target}", test.package),
        };
        let binary = self.0.iter().find(|binary| binary.name == program);
        let binary = binary.ok_or_else(|| format!("there is no program for {test}"))?;
        let seeds = mutant.seeds.map(|seeds| seeds.to_string());
        let seeds = seeds.as_deref().map(|seeds| ("LEASEHOLD_SEEDS", seeds));
        let env: Vec<_> = [Some((VARIABLE, name.unwrap_or("none"))), seeds].into_iter().flatten().collect();
        let begin = now();
        let run = runner::run(binary, &["--exact", &test.name], &env, SECONDS_MAX);
        let (status, output) = run.map_err(|error| format!("{test} could not be run: {error}"))?;
        let took = now() - begin;
        let outcome = match output.lines().find_map(summary::result_of) {
            Some((1, 0)) if status.success() => Outcome::Passed,
            Some((0, 0)) => return Err(format!("{test} is not there any more")),
            None if took.as_secs() >= SECONDS_MAX.into() => Outcome::Hung,
            // It may also have been killed by the mechanism under test.
            _ => Outcome::Failed(message(&output)),
        };
        Ok((outcome, took))
    }
}

#[expect(clippy::disallowed_methods, reason = "a program for the terminal measures on the machine's clock")]
fn now() -> Instant {
    Instant::now()
}

/// The line after `panicked at …`, where the message begins, or the one that says FAILED.
fn message(output: &str) -> String {
    let panic = output.lines().skip_while(|line| !line.contains("panicked at ")).nth(1);
    let failed = || output.lines().find(|line| line.starts_with("FAILED"));
    panic.or_else(failed).unwrap_or_default().chars().take(100).collect()
}
