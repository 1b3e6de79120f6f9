//! The start of the command, and the reasons why it could not be run.

use std::io::{Error, ErrorKind};

use leasehold::LockName;
use serde_json::json;

use super::{Task, program};
use crate::{exit, output::Output};

/// Reports that the command could not be run. Answers its exit code.
///
/// # Errors
/// The system has no process left.
pub(super) fn fail(task: &Task<'_>, lock: &LockName, error: Error, output: Output) -> Result<u8, Error> {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory) {
        return Err(error);
    }
    // ENOENT also if the interpreter of a script is missing, as in shells.
    let code = if error.kind() == ErrorKind::NotFound { exit::NOT_FOUND } else { exit::CANNOT_RUN };
    let program = task.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let message = format!("cannot run `{}`: {}", program.escape_debug(), describe(&error));
    let is_program = program::find(lock.as_str().as_ref()).is_some();
    let hint = match code {
        exit::NOT_FOUND if is_program => {
            format!("`{lock}` was taken for the name of the lock: write NAME -- COMMAND")
        }
        exit::NOT_FOUND => "is it installed, and on the PATH?".to_string(),
        _ => "is it an executable file for this machine?".to_string(),
    };
    output.event("error", json!({ "message": message, "hint": hint, "exit_code": code }));
    output.say(format!("error: {message}\nhint: {hint}"));
    Ok(code)
}

fn describe(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "command not found".to_string(),
        ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}
