//! Names and holders in ShedLock's columns.

use std::{borrow::Cow, time::Duration};

use leasehold_core::{ClaimId, Contender, LockName, Mode, Result, Stance};
use tokio_postgres::Row;

use crate::error::column;

/// Stands for the zero character, which text of PostgreSQL cannot have; twice for itself.
const ZERO: char = '\u{2400}';

/// A name as the table has it: itself, but for zero characters.
pub(super) fn write_name(name: &str) -> Cow<'_, str> {
    match name.contains(['\0', ZERO]) {
        false => name.into(),
        true => name.replace(ZERO, "\u{2400}\u{2400}").replace('\0', "\u{2400}0").into(),
    }
}

/// The name; `None` for a text that none of ours has.
pub(super) fn read_name(text: &str) -> Option<LockName> {
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        name.push(match character {
            ZERO => match characters.next()? {
                ZERO => ZERO,
                '0' => '\0',
                _ => return None,
            },
            other => other,
        });
    }
    LockName::new(name).ok()
}

/// A span in seconds; nothing for one that is over.
pub(super) fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The holder of a row: how long it lasts, its owner and its age, from this column on.
pub(super) fn contender(row: &Row, at: usize) -> Result<Contender> {
    let owner: &str = column(row, at + 1)?;
    let (tag, note) = match owner.parse::<ClaimId>() {
        Ok(id) => (Contender::tag_of(id), None),
        Err(_) => (0, Some(format!("held by ShedLock on {}", owner.escape_debug()).into())),
    };
    Ok(Contender {
        tag,
        stance: Stance::Holding,
        mode: Some(Mode::Exclusive),
        expires_in: Some(span(column(row, at)?)),
        age: Some(span(column(row, at + 2)?)),
        fence: None,
        note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_only_zero_characters_are_written_differently() {
        for (name, text) in
            [("a\\b", "a\\b"), ("a\0b", "a\u{2400}0b"), ("\u{2400}0", "\u{2400}\u{2400}0"), ("π", "π")]
        {
            assert_eq!(write_name(name), text);
            assert_eq!(read_name(text).unwrap().as_str(), name);
        }
        assert!(read_name("\u{2400}").is_none() && read_name("\u{2400}x").is_none());
    }
}
