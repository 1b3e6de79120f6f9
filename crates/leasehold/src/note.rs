//! [`Note`]: a description of the holder, for people.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A description of the holder, shown to waiters and by `inspect`. Its text form is one line of JSON.
///
/// A store keeps notes as it gets them; those of other programs may be any text, which [`Note::read`] takes as `text`.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// The machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The value that the leader of an [`Election`](crate::Election) proclaims. Never cut: one that does not fit is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether the run of a job has ended with success. See [`OncePer`](crate::OncePer).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
}

/// Longer commands and texts are cut: a note travels with every claim.
const FIELD_CHARS_MAX: usize = 200;

impl Note {
    /// The host, the process and the name of its program. Arguments are left out: they may be secret.
    pub fn of_this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let program = std::env::args_os().next().unwrap_or_default();
        let command =
            std::path::Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Note { host, pid: Some(std::process::id()), command: cut(&command), ..Note::default() }
    }

    /// Replaces the program.
    #[must_use]
    pub fn command(mut self, command: impl AsRef<str>) -> Self {
        self.command = cut(command.as_ref());
        self
    }

    /// Replaces the free text.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.text = cut(text.as_ref());
        self
    }

    /// Replaces the value of a leader.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Reads a note as a store has it. A note of another program is kept as `text`.
    pub fn read(raw: &str) -> Self {
        raw.parse().unwrap_or_else(|_| Note::default().text(raw))
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= FIELD_CHARS_MAX {
        return text.to_string();
    }
    text.chars().take(FIELD_CHARS_MAX - 1).chain(['…']).collect()
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

impl FromStr for Note {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_round_trip_and_foreign_ones_are_text() {
        let note = Note::of_this_process().text("a\n\"b\"");
        assert_eq!(Note::read(&note.to_string()), note);
        assert_eq!(note.pid, Some(std::process::id()));
        assert_eq!(Note::read("worker-7"), Note::default().text("worker-7"));
    }

    #[test]
    fn long_fields_are_cut_so_that_a_note_always_fits() {
        let note = Note::of_this_process().command("π".repeat(5000)).text("\u{1}".repeat(5000));
        assert!(note.to_string().len() < leasehold_core::Claim::NOTE_BYTES_MAX, "{}", note.to_string().len());
    }
}
