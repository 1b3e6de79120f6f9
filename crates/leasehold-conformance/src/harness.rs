//! The test program of a store: `harness = false` and five lines.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{Case, Fixture, Report};

/// Runs every case against every fixture, as `cargo test` would: takes the same arguments, prints the same lines.
/// A case is called `label::promise::case`; one that does not apply is listed as ignored, with the reason.
pub fn main(fixtures: Vec<(&str, Fixture)>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = fixtures.into_iter().flat_map(|(label, fixture)| trials(label, &fixture)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The cases against one fixture, for a test program that adds its own.
pub fn trials(label: &str, fixture: &Fixture) -> Vec<Trial> {
    crate::cases().into_iter().map(|case| trial(label, fixture.clone(), case)).collect()
}

fn trial(label: &str, fixture: Fixture, case: Case) -> Trial {
    Trial::ignorable_test(format!("{label}::{}", case.path()), move || match fixture.run(&case) {
        Report::Kept => Ok(Completion::Completed),
        Report::NotApplicable(reason) => Ok(Completion::ignored_with(reason)),
        Report::Broken(failure) => Err(Failed::from(failure)),
    })
}
