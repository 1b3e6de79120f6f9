//! Output of the commands: results on stdout, messages on stderr, either as text or as JSON.

use std::{io::Write, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The command line is invalid (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// A required program is missing (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// An internal failure (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints a message to stderr, unless the format is JSON.
    pub(crate) fn say(self, message: impl AsRef<str>) {
        if !self.json {
            write_stderr(&format!("{}\n", message.as_ref()));
        }
    }

    /// Prints an event to stderr as one JSON line, if the format is JSON.
    pub(crate) fn event(self, name: &str, mut fields: Value) {
        if self.json {
            fields["event"] = name.into();
            write_stderr(&format!("{fields}\n"));
        }
    }

    pub(crate) fn data(self, value: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        let result = if self.json { format!("{}\n", value()) } else { text() };
        let mut stdout = std::io::stdout().lock();
        // A reader that closes the pipe early (`| head`) is no failure.
        let _ = stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Prints an error with its cause and hint; returns its exit code.
    pub(crate) fn failure(self, error: &anyhow::Error) -> ExitCode {
        let refusal = error.downcast_ref::<Refusal>();
        let hint = refusal.map(|refusal| refusal.hint.as_str());
        let code = refusal.map_or(SOFTWARE, |refusal| refusal.code);
        self.event("error", json!({ "message": error.to_string(), "hint": hint, "exit_code": code }));
        self.say(format!("error: {error}"));
        if let Some(cause) = error.chain().skip(1).last() {
            self.say(format!("  caused by: {cause}"));
        }
        if let Some(hint) = hint {
            self.say(format!("hint: {hint}"));
        }
        code.into()
    }
}

/// Writes a picture into a file, if one is wanted.
pub(crate) fn write_picture(path: Option<&Path>, draw: impl FnOnce() -> String) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, draw()).with_context(|| format!("cannot write {}", path.display()))
}

/// An error of the command line with a next step and an exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    code: u8,
    message: String,
    hint: String,
}

impl Refusal {
    pub(crate) fn with_code(code: u8, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Refusal { code, message: message.into(), hint: hint.into() })
    }
}

/// A closed stderr is no reason to stop.
fn write_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
