//! A run as lines of text, for people.

use std::fmt::Write;

use crate::{
    config::RunConfig,
    history::{Event, EventKind},
    run::Run,
};

/// The events line by line, and the verdict.
pub fn text(config: &RunConfig, run: &Run) -> String {
    let mut text = format!("{}: {}\n", config.scenario.name, config.scenario.about);
    for event in &run.history {
        if let Some(words) = words(event) {
            let who = match event.process {
                0 => "world".to_string(),
                client if client < 100 => format!("client {client}"),
                client => format!("client {} (life {})", client % 100, client / 100 + 1),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>12.3} ms  {who:18} {words}", event.at_us as f64 / 1000.0);
        }
    }
    for violation in &run.broken {
        let _ = writeln!(text, "BROKEN {violation}");
    }
    let figures = &run.figures;
    let _ = writeln!(
        text,
        "{} grants, {} losses, {} double holds, {} late accesses refused, {} updates lost: {}",
        figures.grants,
        figures.losses,
        figures.double_holds,
        figures.writes_refused + figures.reads_refused,
        figures.updates_lost,
        if run.is_good() { "all rules were kept" } else { "rules were broken" },
    );
    let _ = writeln!(text, "again: {}", config.command());
    text
}

fn words(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::Ask { attempt, .. } => format!("asks ({attempt})"),
        EventKind::Grant { attempt, token, deadline_us } => {
            let until =
                deadline_us.map_or("for ever".to_string(), |at_us| format!("until {} ms", at_us / 1000));
            let token = token.map_or(String::new(), |token| format!(", token {token}"));
            format!("is granted ({attempt}) {until}{token}")
        }
        EventKind::Busy { attempt } => format!("gives up waiting ({attempt})"),
        EventKind::Fail { attempt, unknown } => {
            format!("fails ({attempt}){}", if *unknown { ", and may hold" } else { "" })
        }
        EventKind::Lost { attempt } => format!("is told of its loss ({attempt})"),
        EventKind::Release { attempt } => format!("gives back ({attempt})"),
        EventKind::Read { attempt, value: Some(value), .. } => format!("reads {value} ({attempt})"),
        EventKind::Read { attempt, value: None, .. } => format!("is refused to read ({attempt})"),
        EventKind::Write { attempt, value, accepted: Some(true), .. } => {
            format!("writes {value} ({attempt})")
        }
        EventKind::Write { attempt, value, accepted: Some(false), .. } => {
            format!("is refused to write {value} ({attempt})")
        }
        EventKind::Write { attempt, value, .. } => format!("may have written {value} ({attempt})"),
        EventKind::Final { value, .. } => format!("in the end it is {value}"),
        EventKind::PlannedFault { name, target, ended } => {
            format!("{} {name} {target}", if *ended { "ends" } else { "begins" })
        }
        EventKind::Healed => "the last fault is over".to_string(),
        EventKind::Gone => "is no more".to_string(),
        _ => return None,
    })
}
