//! [`Attempts`]: the events of a run by attempt.

use std::collections::{BTreeMap, HashMap};

use super::rules::{Rule, Violation};
use crate::history::{Event, EventKind};

#[derive(Default, Debug)]
pub(super) struct Attempts<'a> {
    pub(super) events: &'a [Event],
    /// By number.
    pub(super) all: BTreeMap<u64, Attempt<'a>>,
    /// Contradictory events.
    pub(super) malformed: Vec<Violation>,
    /// The end of each process that was killed.
    pub(super) gone_us: HashMap<u32, u64>,
    /// For each event the time of the previous one of the same attempt.
    pub(super) before_us: Vec<u64>,
}

/// One claim of one process.
#[derive(Default, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) number: u64,
    pub(super) process: u32,
    pub(super) lock: &'a str,
    pub(super) shared: bool,
    pub(super) asked: usize,
    pub(super) asked_us: u64,
    pub(super) granted: Option<Granted>,
    pub(super) refused: Option<Refused>,
    /// The release, or the signal of the loss.
    ended_us: Option<u64>,
    /// Its last event.
    pub(super) last_us: u64,
    pub(super) gone_us: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) event: usize,
    pub(super) at_us: u64,
    pub(super) token: Option<u64>,
    /// The latest confirmed deadline.
    deadline_us: Option<u64>,
    /// An event with another token.
    pub(super) contradicted: Option<usize>,
}

/// An answer other than a grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) event: usize,
    pub(super) at_us: u64,
    /// The claim may be held all the same.
    pub(super) unknown: bool,
}

/// A granted attempt, as its holder sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) granted: Granted,
    /// Its end; before the grant if that came too late.
    pub(super) until_us: u64,
}

impl Hold<'_> {
    /// Whether the two must not hold at one instant.
    pub(super) fn excludes(&self, other: &Hold<'_>) -> bool {
        !(self.attempt.shared && other.attempt.shared)
    }

    /// Whether both hold at some instant.
    pub(super) fn overlaps(&self, other: &Hold<'_>) -> bool {
        let start_us = self.granted.at_us.max(other.granted.at_us);
        start_us < self.until_us.min(other.until_us)
    }
}

impl<'a> Attempt<'a> {
    fn new(number: u64, event: &Event, index: usize, lock: &'a str, shared: bool) -> Self {
        Self {
            number,
            process: event.process,
            lock,
            shared,
            asked: index,
            asked_us: event.at_us,
            last_us: event.at_us,
            ..Self::default()
        }
    }

    /// The hold ends with the deadline, the release, the loss or the end of the process, whichever is first: a store may
    /// know that a process is dead. Without a deadline it ends with the process or the last event.
    pub(super) fn hold(&'a self) -> Option<Hold<'a>> {
        let granted = self.granted?;
        let ends_us = [granted.deadline_us, self.ended_us, self.gone_us].into_iter().flatten();
        Some(Hold { attempt: self, granted, until_us: ends_us.min().unwrap_or(self.last_us) })
    }

    pub(super) fn answered_us(&self) -> Option<u64> {
        self.granted.map(|granted| granted.at_us).or(self.refused.map(|refused| refused.at_us))
    }

    fn take(&mut self, event: &Event, index: usize) {
        self.last_us = self.last_us.max(event.at_us);
        match &event.kind {
            EventKind::Grant { token, deadline_us, .. } => self.grant(event, index, *token, *deadline_us),
            EventKind::Busy { .. } => self.refuse(event, index, false),
            EventKind::Fail { unknown, .. } => self.refuse(event, index, *unknown),
            EventKind::Extend { deadline_us, .. } => {
                if let Some(known_us) = self.granted.as_mut().and_then(|it| it.deadline_us.as_mut()) {
                    *known_us = (*known_us).max(*deadline_us);
                }
            }
            EventKind::Lost { .. } | EventKind::Release { .. } | EventKind::Released { .. } => {
                self.ended_us.get_or_insert(event.at_us);
            }
            _ => {}
        }
    }

    fn grant(&mut self, event: &Event, index: usize, token: Option<u64>, deadline_us: Option<u64>) {
        match &mut self.granted {
            None => {
                let (at_us, contradicted) = (event.at_us, None);
                self.granted = Some(Granted { event: index, at_us, token, deadline_us, contradicted });
            }
            // The request was repeated.
            Some(known) => {
                known.deadline_us = known.deadline_us.zip(deadline_us).map(|(one, other)| one.max(other));
                if known.token != token {
                    known.contradicted.get_or_insert(index);
                }
            }
        }
    }

    fn refuse(&mut self, event: &Event, index: usize, unknown: bool) {
        self.refused.get_or_insert(Refused { event: index, at_us: event.at_us, unknown });
    }
}

impl<'a> Attempts<'a> {
    pub(super) fn of(events: &'a [Event]) -> Self {
        let mut attempts = Self { events, ..Self::default() };
        for (index, event) in events.iter().enumerate() {
            let number = number(&event.kind);
            let known = number.and_then(|number| attempts.all.get(&number));
            attempts.before_us.push(known.map_or(0, |attempt| attempt.last_us));
            attempts.take(event, index);
        }
        for attempt in attempts.all.values_mut() {
            attempt.gone_us = attempts.gone_us.get(&attempt.process).copied();
        }
        attempts
    }

    fn take(&mut self, event: &'a Event, index: usize) {
        if let EventKind::Ask { attempt, lock, shared } = &event.kind {
            let begun = Attempt::new(*attempt, event, index, lock, *shared);
            if let Some(earlier) = self.all.get(attempt) {
                let text = format!("attempt {attempt} begins twice");
                self.malformed.push(self.violation(Rule::Order, text, &[earlier.asked, index]));
            } else {
                self.all.insert(*attempt, begun);
            }
        } else if event.kind == EventKind::Gone {
            self.gone_us.entry(event.process).or_insert(event.at_us);
        } else if let Some(number) = number(&event.kind) {
            match self.all.get_mut(&number) {
                Some(attempt) => attempt.take(event, index),
                None => {
                    let text = format!("attempt {number} was never begun");
                    self.malformed.push(self.violation(Rule::Order, text, &[index]));
                }
            }
        }
    }

    pub(super) fn holds(&self) -> impl Iterator<Item = Vec<Hold<'_>>> {
        let mut holds: BTreeMap<&str, Vec<Hold<'_>>> = BTreeMap::new();
        for hold in self.all.values().filter_map(Attempt::hold) {
            holds.entry(hold.attempt.lock).or_default().push(hold);
        }
        holds.into_values()
    }

    pub(super) fn token(&self, attempt: u64) -> Option<u64> {
        self.all.get(&attempt)?.granted?.token
    }

    /// A violation at the time of the last of these events.
    pub(super) fn violation(&self, rule: Rule, text: String, events: &[usize]) -> Violation {
        let events: Vec<Event> = events.iter().map(|index| self.events[*index].clone()).collect();
        let at_us = events.iter().map(|event| event.at_us).max().unwrap_or_default();
        Violation { rule, at_us, text, events }
    }
}

fn number(what: &EventKind) -> Option<u64> {
    match what {
        EventKind::Ask { attempt, .. }
        | EventKind::Grant { attempt, .. }
        | EventKind::Busy { attempt }
        | EventKind::Fail { attempt, .. }
        | EventKind::Extend { attempt, .. }
        | EventKind::Lost { attempt }
        | EventKind::Release { attempt }
        | EventKind::Released { attempt }
        | EventKind::Read { attempt, .. }
        | EventKind::Write { attempt, .. } => Some(*attempt),
        EventKind::Final { .. } | EventKind::Gone | EventKind::PlannedFault { .. } | EventKind::Healed => {
            None
        }
    }
}
