//! Hidden mode that runs in the child before the command.
//!
//! `pre_exec` is `unsafe`, so the child first runs this program again, which sets the parent-death signal and then
//! executes the command.

use std::{
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use serde_json::json;

use super::{program, terminal::Terminal};
use crate::{exit, output::Output};

/// First argument of this hidden mode.
pub(crate) const MARK: &str = "__exec";

/// Options of this mode, passed as one argument.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ExecOptions {
    /// Move the command to the foreground of the terminal.
    pub(crate) foreground: bool,
    pub(crate) json: bool,
}

impl ExecOptions {
    pub(super) fn to_text(self) -> String {
        format!("{}{}-", if self.foreground { "f" } else { "" }, if self.json { "j" } else { "" })
    }

    fn from_text(text: &str) -> Self {
        ExecOptions { foreground: text.contains('f'), json: text.contains('j') }
    }
}

/// Runs the command. Arguments: process id of the parent, options, command. Returns only if the command cannot be run.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let options =
        arguments.next().map(|text| ExecOptions::from_text(&text.to_string_lossy())).unwrap_or_default();
    let Some(program) = arguments.next() else { return exit::USAGE.into() };
    // The kernel clears it if the command is setuid or has capabilities; then only the guardian remains.
    if let Err(errno) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return fail(options, &program, exit::CANNOT_RUN, &format!("no parent-death signal: {errno}"));
    }
    // If the parent died before the line above, the lock is no longer held.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != parent {
        return exit::of_signal(Signal::KILL.as_raw()).into();
    }
    if options.foreground
        && let Some(terminal) = Terminal::controlling()
    {
        // In the child and not in the parent, so that the command never runs in the background.
        terminal.give(getpid());
    }
    let error = Command::new(&program).args(arguments).exec();
    // ENOENT also if the interpreter of a script is missing, as in shells.
    let code = if error.kind() == ErrorKind::NotFound { exit::NOT_FOUND } else { exit::CANNOT_RUN };
    fail(options, &program, code, &describe(&error))
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "command not found".to_string(),
        ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

fn fail(options: ExecOptions, program: &OsString, code: u8, why: &str) -> ExitCode {
    let output = Output { json: options.json };
    let message = format!("cannot run `{}`: {why}", program.to_string_lossy().escape_debug());
    let lock = std::env::var_os("LEASEHOLD_NAME").filter(|name| program::find(name).is_some());
    let hint = match (code, lock) {
        (exit::NOT_FOUND, Some(lock)) => {
            format!("`{}` was taken for the name of the lock: write NAME -- COMMAND", lock.to_string_lossy())
        }
        (exit::NOT_FOUND, None) => "is it installed, and on the PATH?".to_string(),
        _ => "is it an executable file for this machine?".to_string(),
    };
    output.event("error", json!({ "message": message, "hint": hint, "exit_code": code }));
    output.say(format!("error: {message}\nhint: {hint}"));
    code.into()
}
