//! Holders and waiters as text and as JSON.

use std::time::Duration;

use anyhow::Result;
use leasehold::{
    Note,
    store::{Capability, Contender, Mode, Snapshot, Stance},
};
use serde_json::{Value, json};

use crate::{
    duration::{millis, show},
    exit::CliError,
};

/// Longest command or note in a one-line description.
const COMMAND_CHARS_MAX: usize = 40;
/// Longest note in one of a holder whose host is not known: another library's, whose words are all there is.
const FOREIGN_CHARS_MAX: usize = 100;

/// The note of this process: host, process id, what is shown of the command, and the text of the user.
pub(crate) fn own_note(command: String, text: Option<&str>) -> String {
    let mut note = Note::of_this_process();
    if !command.is_empty() {
        note = note.command(command);
    }
    note.text(text.unwrap_or_default()).to_string()
}

/// Refuses a text of the user that the store does not keep, so that nobody would see it.
pub(crate) fn check_kept(option: &str, text: Option<&str>, capability: &Capability) -> Result<()> {
    if capability.notes || text.unwrap_or_default().is_empty() {
        return Ok(());
    }
    let message = format!("{} in this dialect keeps no notes: nobody would see {option}", capability.scheme);
    Err(CliError::usage(message, format!("leave {option} out, or use the native dialect")))
}

pub(crate) fn note_of(contender: &Contender) -> Note {
    contender.note.as_deref().map(Note::read).unwrap_or_default()
}

/// One-line description: `api-7 (pid 4121, backup.sh, "nightly")`. Control characters are escaped, since other clients
/// write the notes.
pub(crate) fn summary(contender: &Contender) -> String {
    let note = note_of(contender);
    let host = if note.host.is_empty() { "unknown host".to_string() } else { plain(&note.host) };
    let most = if note.host.is_empty() { FOREIGN_CHARS_MAX } else { COMMAND_CHARS_MAX };
    let details = [
        note.pid.map(|pid| format!("pid {pid}")),
        Some(short(&note.command, COMMAND_CHARS_MAX)).filter(|command| !command.is_empty()),
        Some(short(&note.text, most)).filter(|text| !text.is_empty()).map(|text| format!("\"{text}\"")),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    if details.is_empty() { host } else { format!("{host} ({})", details.join(", ")) }
}

/// `held by … for 2m14s · 21s left`, if `elapsed` has passed since the store answered.
pub(crate) fn held_by(contender: &Contender, elapsed: Duration) -> String {
    let parts = [Some(held_for(contender, elapsed)), time_left(contender, elapsed)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The first part of [`held_by`].
pub(crate) fn held_for(contender: &Contender, elapsed: Duration) -> String {
    let verb = match contender.stance {
        Stance::Delaying => "delayed after",
        Stance::Holding | Stance::Waiting => "held by",
    };
    let age = contender.age.map(|age| format!(" for {}", show(whole(age + elapsed)))).unwrap_or_default();
    format!("{verb} {}{age}", summary(contender))
}

/// The second part of [`held_by`]; `None` for a hold without an end.
pub(crate) fn time_left(contender: &Contender, elapsed: Duration) -> Option<String> {
    contender.expires_in.map(|span| format!("{} left", show(whole(span.saturating_sub(elapsed)))))
}

/// Whole seconds, but for spans below one second.
fn whole(span: Duration) -> Duration {
    if span < Duration::from_secs(1) { span } else { Duration::from_secs(span.as_secs()) }
}

/// `1st`, `2nd`, `3rd`, `11th`.
pub(crate) fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

pub(crate) fn mode_words(mode: Option<Mode>) -> String {
    mode.map_or_else(|| "unknown".to_string(), |mode| mode.to_string())
}

pub(crate) fn to_json(contender: &Contender) -> Value {
    let note = note_of(contender);
    let stance = match contender.stance {
        Stance::Holding => "holding",
        Stance::Waiting => "waiting",
        Stance::Delaying => "delaying",
    };
    json!({
        "tag": format!("{:08x}", contender.tag),
        "stance": stance,
        "mode": contender.mode.map(|mode| mode.to_string()),
        "age_ms": contender.age.map(millis),
        "left_ms": contender.expires_in.map(millis),
        "fencing_token": contender.fence.map(|token| token.get()),
        "host": note.host,
        "pid": note.pid,
        "command": note.command,
        "note": note.text,
    })
}

pub(crate) fn snapshot_to_json(snapshot: &Snapshot) -> Value {
    let mut lock = json!({
        "lock": snapshot.name.as_str(),
        "fencing_token": snapshot.fence.map(|token| token.get()),
        "holders": snapshot.holders.iter().map(to_json).collect::<Vec<Value>>(),
        "waiters": snapshot.waiters.iter().map(to_json).collect::<Vec<Value>>(),
    });
    if !snapshot.members.is_empty() {
        lock["members"] = json!(snapshot.members);
    }
    lock
}

/// Whether a character is not seen where it stands: control characters, those of writing direction too, by which a name could pass
/// for another.
pub(crate) fn is_hidden(character: char) -> bool {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    character.is_control() || turns.iter().any(|range| range.contains(&character))
}

/// Text with hidden characters escaped.
pub(crate) fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |plain, character| match is_hidden(character) {
        true => plain + &character.escape_default().to_string(),
        false => plain + character.encode_utf8(&mut [0; 4]),
    })
}

fn short(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(note: &str) -> Contender {
        Contender {
            tag: 1,
            stance: Stance::Holding,
            mode: Some(Mode::Exclusive),
            expires_in: Some(Duration::from_millis(21_500)),
            age: Some(Duration::from_secs(130)),
            fence: None,
            note: Some(note.into()),
        }
    }

    #[test]
    fn a_holder_is_described_in_one_line() {
        let note = r#"{"host":"api-7","pid":4121,"command":"backup.sh","text":"nightly"}"#;
        let words = held_by(&contender(note), Duration::from_secs(4));
        assert_eq!(words, "held by api-7 (pid 4121, backup.sh, \"nightly\") for 2m14s · 17s left");
    }

    #[test]
    fn foreign_notes_cannot_forge_a_line() {
        let words = summary(&contender("x\n\u{1b}[2J\u{202e}error: all is lost"));
        assert_eq!(words, "unknown host (\"x\\n\\u{1b}[2J\\u{202e}error: all is lost\")");
    }

    #[test]
    fn positions_are_ordinals() {
        let words: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal).into();
        assert_eq!(words, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }
}
