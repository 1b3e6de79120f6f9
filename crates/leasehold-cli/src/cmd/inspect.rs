//! `leasehold inspect`: holders and waiters of a lock.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use leasehold::{
    LockName,
    store::{Contender, Snapshot, Stance},
};

use super::common::StoreArgs;
use crate::{
    describe::{is_hidden, mode_words, note_of, ordinal, plain, snapshot_to_json},
    duration::show,
    output::Output,
    store_location::StoreLocation,
};

/// Show holders and waiters of a lock.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Name of the lock.
    name: String,
}

/// Prints all that the store knows about the lock.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = arguments.store.location(output)?;
    let snapshot = location.ask(async |client| Ok(client.inspect(&name).await?)).await?;
    output.data(|| snapshot_to_json(&snapshot), || page(&snapshot, &location).unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn page(snapshot: &Snapshot, location: &StoreLocation) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    let name = &snapshot.name;
    writeln!(page, "lock     {name}")?;
    writeln!(page, "store    {}", location.shown())?;
    let state = match (snapshot.holders.len(), snapshot.waiters.len()) {
        (0, 0) => "free".to_string(),
        (holders, waiters) => format!("{holders} holding, {waiters} waiting"),
    };
    writeln!(page, "state    {state}")?;
    if let Some(token) = snapshot.fence {
        writeln!(page, "token    {token} is the highest granted")?;
    }
    for member in &snapshot.members {
        writeln!(page, "member   {} · {}", plain(&member.url), plain(&member.state))?;
    }
    for holder in &snapshot.holders {
        let word = if holder.stance == Stance::Delaying { "delayed  after" } else { "holder  " };
        contender(&mut page, word, holder)?;
    }
    for (position, waiter) in (1..).zip(&snapshot.waiters) {
        contender(&mut page, &format!("{:<8}", ordinal(position)), waiter)?;
    }
    if is_of_other_dialect(snapshot, location) {
        writeln!(
            page,
            "\nto release it by force: leasehold force-release with `dialect=redisson` in the URL"
        )?;
    } else if !snapshot.holders.is_empty() {
        writeln!(
            page,
            "\nto release it by force: leasehold force-release {}",
            shell_arguments(name, location)
        )?;
    }
    Ok(page)
}

/// Whether a lock of Redisson is seen by another dialect, which does not release it.
fn is_of_other_dialect(snapshot: &Snapshot, location: &StoreLocation) -> bool {
    let is_redissons = |holder: &Contender| note_of(holder).text.starts_with("held by Redisson");
    snapshot.holders.iter().any(is_redissons) && location.url().options().dialect() != Some("redisson")
}

fn contender(page: &mut String, word: &str, contender: &Contender) -> std::fmt::Result {
    let note = note_of(contender);
    let host = if note.host.is_empty() { "unknown host" } else { &note.host };
    write!(page, "\n{word} {}", plain(host))?;
    if let Some(pid) = note.pid {
        write!(page, " · pid {pid}")?;
    }
    writeln!(page)?;
    for (label, text) in [("command", &note.command), ("note", &note.text)] {
        if !text.is_empty() {
            writeln!(page, "  {label:<8} {}", plain(text))?;
        }
    }
    if let Some(value) = note.value.as_deref().filter(|value| !value.is_empty()) {
        writeln!(page, "  says     {}", plain(value))?;
    }
    let mut facts = vec![mode_words(contender.mode)];
    facts.extend(contender.age.map(|age| format!("for {}", show(age))));
    facts.extend(contender.expires_in.map(|span| format!("{} left unless renewed", show(span))));
    facts.extend(contender.fence.map(|token| format!("fencing token {token}")));
    writeln!(page, "  {}", facts.join(" · "))
}

/// The shell arguments that name this lock.
fn shell_arguments(name: &LockName, location: &StoreLocation) -> String {
    let store = location.argument().map(|store| format!("--store {} ", quoted(&store))).unwrap_or_default();
    let dashes = if name.as_str().starts_with('-') { "-- " } else { "" };
    format!("{store}{dashes}{}", quoted(name.as_str()))
}

/// The text as one shell word. Hidden characters are written as `$'…'`, so that they do not reach the terminal.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%".contains(&byte);
    if text.chars().any(is_hidden) {
        return text.chars().fold("$'".to_string(), |text, character| text + &escaped(character)) + "'";
    }
    match text.bytes().all(is_plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn escaped(character: char) -> String {
    match character {
        '\'' | '\\' => format!("\\{character}"),
        _ if is_hidden(character) => format!("\\u{:04x}", u32::from(character)),
        _ => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_the_shell() {
        for (text, word) in [
            ("a/b-1", "a/b-1"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("a\n'\u{1b}", "$'a\\u000a\\'\\u001b'"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
