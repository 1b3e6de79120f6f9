//! What is said, and where: data on stdout, everything else on stderr, and all of it as JSON lines when asked for.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use crate::exit::{self, Refusal};

/// How to talk: for people, or one JSON value a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON instead of sentences.
    pub(crate) json: bool,
}

impl Output {
    /// Whether a person looks at stderr right now.
    pub(crate) fn is_live(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// A sentence for people, on stderr. Left out in JSON, where an event says the same.
    pub(crate) fn say(self, sentence: impl AsRef<str>) {
        if !self.json {
            write_stderr(&format!("{}\n", sentence.as_ref()));
        }
    }

    /// Something that happened, for programs: one JSON line on stderr.
    pub(crate) fn event(self, name: &str, fields: Value) {
        if !self.json {
            return;
        }
        let fields = fields.to_string();
        let rest = fields.strip_prefix('{').unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        // By hand, so that what it is comes first.
        write_stderr(&format!("{{\"event\":{}{comma}{rest}\n", json!(name)));
    }

    /// The result that was asked for, on stdout: the JSON value, or the text.
    pub(crate) fn data(self, value: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        let result = if self.json { format!("{}\n", value()) } else { text() };
        let mut stdout = std::io::stdout().lock();
        // A reader that has seen enough (`| head`) is no failure.
        let _ = stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush());
    }

    /// A failure, with what to do next. Answers the exit code that goes with it.
    pub(crate) fn failure(self, error: &anyhow::Error) -> u8 {
        let code = exit::of_error(error);
        let hint = hint_of(error);
        self.event("error", json!({ "message": error.to_string(), "hint": hint, "exit_code": code }));
        self.say(format!("error: {error}"));
        if let Some(cause) = cause_of(error) {
            self.say(format!("  caused by: {cause}"));
        }
        if let Some(hint) = hint {
            self.say(format!("hint: {hint}"));
        }
        code
    }
}

fn hint_of(error: &anyhow::Error) -> Option<&str> {
    let refusal = error.downcast_ref::<Refusal>().and_then(|refusal| refusal.hint.as_deref());
    refusal.or_else(|| error.downcast_ref::<leasehold::Error>().and_then(leasehold::Error::hint_text))
}

/// The deepest cause, unless the message already has its words.
fn cause_of(error: &anyhow::Error) -> Option<String> {
    let cause = error.chain().skip(1).last()?.to_string();
    (!error.to_string().contains(&cause)).then_some(cause)
}

/// Writes to stderr in one piece. That nobody reads it is no reason to stop.
pub(crate) fn write_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
