//! Output: results on stdout, messages on stderr, and both as JSON lines with `--json`.

use std::io::{self, IsTerminal, Write};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::PIPE_BUF,
};
use serde_json::{Value, json};

use crate::exit::{self, CliError};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Whether stderr is a terminal that shows text.
    pub(crate) fn is_live(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints a message on stderr. Nothing in JSON, where an event reports the same.
    pub(crate) fn say(self, message: impl AsRef<str>) {
        if !self.json {
            write_stderr(&format!("{}\n", message.as_ref()));
        }
    }

    /// Prints an event as one JSON line on stderr. Nothing in text.
    pub(crate) fn event(self, name: &str, fields: Value) {
        if self.json {
            write_stderr(&event_line(name, &fields));
        }
    }

    /// Prints the result on stdout, as JSON or as text. A closed pipe (`| head`) is no failure.
    ///
    /// # Errors
    /// The result cannot be written, for example to a full disk.
    pub(crate) fn data(
        self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.deliver(value, text) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let message = format!("the result cannot be written: {error}");
                Err(CliError::with_code(exit::SOFTWARE, message, "the command itself was carried out"))
            }
            _ => Ok(()),
        }
    }

    /// Prints a result that must not get lost.
    pub(crate) fn deliver(
        self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        self.deliver_line(|| format!("{}\n", value()), text)
    }

    /// [`Output::deliver`] of a line of JSON that is written already.
    pub(crate) fn deliver_line(
        self,
        line: impl FnOnce() -> String,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let result = if self.json { line() } else { text() };
        let mut stdout = io::stdout().lock();
        stdout.write_all(result.as_bytes())?;
        stdout.flush()
    }

    /// Prints an error with its cause and hint, and returns its exit code.
    pub(crate) fn failure(self, error: &anyhow::Error) -> u8 {
        let code = exit::of_error(error);
        let (message, hint) = (error.to_string(), hint_of(error));
        if message.is_empty() {
            return code;
        }
        self.event("error", json!({ "message": message, "hint": hint, "exit_code": code }));
        self.say(format!("error: {message}"));
        if let Some(cause) = cause_of(error) {
            self.say(format!("  caused by: {cause}"));
        }
        if let Some(hint) = hint {
            self.say(format!("hint: {hint}"));
        }
        code
    }
}

/// An event as a line of JSON. By hand, so that its name comes first.
pub(crate) fn event_line(name: &str, fields: &Value) -> String {
    let fields = fields.to_string();
    let rest = fields.strip_prefix('{').unwrap_or("}");
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"event\":{}{comma}{rest}\n", json!(name))
}

fn hint_of(error: &anyhow::Error) -> Option<&str> {
    let own = error.downcast_ref::<CliError>().map(|error| error.hint.as_str());
    own.or_else(|| error.downcast_ref::<leasehold::Error>().and_then(leasehold::Error::hint_text))
}

/// The root cause, unless the message contains it.
fn cause_of(error: &anyhow::Error) -> Option<String> {
    let cause = error.chain().skip(1).last()?.to_string();
    (!error.to_string().contains(&cause)).then_some(cause)
}

/// Stderr, as far as it takes text at once. The rest is dropped: nothing that is written for people may wait for its reader (a full
/// pipe, Ctrl-S on a terminal), because a command under a lease is supervised meanwhile.
pub(crate) struct Stderr;

impl Stderr {
    fn is_writable() -> bool {
        let stderr = rustix::stdio::stderr();
        let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
        let ready = poll(&mut watched, Some(&Timespec::default()));
        ready.is_ok() && watched[0].revents().contains(PollFlags::OUT)
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(PIPE_BUF) {
            if !Stderr::is_writable() || io::stderr().write_all(piece).is_err() {
                break;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to [`Stderr`].
pub(crate) fn write_stderr(text: &str) {
    let _ = Stderr.write(text.as_bytes());
}
