//! `leasehold completions`: completion scripts for shells.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use crate::output::Output;

/// Print a completion script for a shell.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut cli: Command, output: Output) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli, "leasehold", &mut script);
    let script = String::from_utf8(script)?;
    output.data(|| json!({ "shell": arguments.shell.to_string(), "script": script }), || script.clone())?;
    Ok(ExitCode::SUCCESS)
}
