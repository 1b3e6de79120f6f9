//! The first hidden mode of the binary: what runs between the start of the child and the command itself.
//!
//! Rust's `pre_exec` is `unsafe`, so the child is this program once more, which arms the parent-death signal and then
//! becomes the command.

use std::{
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use serde_json::json;

use super::terminal::Terminal;
use crate::{exit, message::Output};

/// The first argument that means this mode.
pub(crate) const MARK: &str = "__exec";

/// What the child is to do before it becomes the command, as one argument.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Orders {
    /// Take the terminal's foreground.
    pub(crate) foreground: bool,
    /// Speak JSON.
    pub(crate) json: bool,
}

impl Orders {
    pub(super) fn to_text(self) -> String {
        format!("{}{}-", if self.foreground { "f" } else { "" }, if self.json { "j" } else { "" })
    }

    fn from_text(text: &str) -> Self {
        Orders { foreground: text.contains('f'), json: text.contains('j') }
    }
}

/// Arguments: the parent's process id, the orders, the command. Returns only if the command cannot be run.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let orders = arguments.next().map(|text| Orders::from_text(&text.to_string_lossy())).unwrap_or_default();
    let Some(program) = arguments.next() else { return exit::USAGE.into() };
    // Cleared by the kernel when the command is setuid or has capabilities: then only the guardian remains.
    if let Err(errno) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return refuse(orders, &program, exit::CANNOT_RUN, &format!("no parent-death signal: {errno}"));
    }
    // The parent may have died before the line above: then nobody holds the lock any more.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != parent {
        return exit::of_signal(Signal::KILL.as_raw()).into();
    }
    if orders.foreground
        && let Some(terminal) = Terminal::controlling()
    {
        // Done here and not by the parent, so that the command never runs a step in the background.
        terminal.give(getpid());
    }
    let error = Command::new(&program).args(arguments).exec();
    // ENOENT also when the interpreter of a script is missing, as shells have it.
    let code = if error.kind() == ErrorKind::NotFound { exit::NOT_FOUND } else { exit::CANNOT_RUN };
    refuse(orders, &program, code, &words(&error))
}

fn words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "command not found".to_string(),
        ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

fn refuse(orders: Orders, program: &OsString, code: u8, why: &str) -> ExitCode {
    let output = Output { json: orders.json };
    let message = format!("cannot run `{}`: {why}", program.to_string_lossy().escape_debug());
    let hint = match code {
        exit::NOT_FOUND => "is it installed, and on the PATH?",
        _ => "is it an executable file, of this machine's kind?",
    };
    output.event("error", json!({ "message": message, "hint": hint, "exit_code": code }));
    output.say(format!("error: {message}\nhint: {hint}"));
    code.into()
}
