//! `cargo xtask torture`: the library and what it is compared with, in real processes on real servers that fail.

use std::process::ExitStatus;

use crate::{packages, tree};

/// Runs the director of the lab's torture; `args` go to it.
///
/// # Errors
/// What is missing, or how the run ended; its own words are printed by itself.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    packages::provide()?;
    let status = direct(args)?;
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(2)) => Err("the controls did not fail: this run proves nothing".into()),
        (false, _) => Err(String::new()),
    }
}

/// One call of the director, which may hold several runs, one after the other.
pub(crate) fn direct(args: &[String]) -> Result<ExitStatus, String> {
    let mut command = tree::cargo(&["run", "--quiet", "--package", "leasehold-lab", "--", "torture", "run"]);
    command.args(args).status().map_err(|error| format!("cargo run could not be run: {error}"))
}
