//! `leasehold completions`: for the shell.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use serde_json::json;

use crate::{
    args::{Arguments, CompletionsArguments},
    exit,
    message::Output,
};

/// Prints the script.
pub(crate) fn run(arguments: &CompletionsArguments, output: Output) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "leasehold", &mut script);
    let script = String::from_utf8(script)?;
    output.data(|| json!({ "shell": arguments.shell.to_string(), "script": script }), || script.clone());
    Ok(exit::success())
}
