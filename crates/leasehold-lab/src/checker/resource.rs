//! Rule 4: the resource accepts nothing of a superseded holder, and loses no acknowledged write.
//!
//! Every write sets the counter to one more than was read. So the acknowledged values are all numbers up to the last, each
//! once, or an update was lost. This end-to-end rule finds what rules 1 to 3 cannot: a stale write between the grant and
//! the write of the next holder. Writes with an unknown outcome may count or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    attempts::Attempts,
    rules::{Rule, Violation},
};
use crate::{history::EventKind, resource::Fence};

/// A write, or the claim of a read.
#[derive(Clone, Copy, Debug)]
struct Write {
    event: usize,
    /// The earliest time of sending: as recorded, or the previous event of the attempt.
    sent_us: u64,
    at_us: u64,
    token: Option<u64>,
    value: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    accepted: Vec<Write>,
    /// By attempt and value.
    unknown: HashMap<(u64, u64), Write>,
    /// Tokens that were presented.
    claims: Vec<Write>,
    last: Option<(usize, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Ledgers<'a> {
    by_resource: BTreeMap<&'a str, Ledger>,
}

impl<'a> Ledgers<'a> {
    pub(super) fn of(attempts: &Attempts<'a>) -> Self {
        let mut ledgers = Self::default();
        for (index, event) in attempts.events.iter().enumerate() {
            let (at_us, sent_us) = (event.at_us, attempts.before_us[index]);
            let access = |attempt: &u64, value: &u64| {
                let token = attempts.token(*attempt);
                Write { event: index, sent_us, at_us, token, value: *value }
            };
            match &event.kind {
                EventKind::Read { attempt, resource, value: Some(value) } => {
                    ledgers.ledger(resource).claims.push(access(attempt, value));
                }
                EventKind::Write { attempt, resource, value, accepted } => {
                    ledgers.ledger(resource).take(*attempt, access(attempt, value), *accepted);
                }
                EventKind::Final { resource, value } => ledgers.ledger(resource).last = Some((index, *value)),
                _ => {}
            }
        }
        ledgers
    }

    fn ledger(&mut self, resource: &'a str) -> &mut Ledger {
        self.by_resource.entry(resource).or_default()
    }

    pub(super) fn check(&self, attempts: &Attempts<'_>, fence: Fence) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (resource, ledger) in &self.by_resource {
            if fence != Fence::None {
                broken.extend(ledger.superseded(attempts, resource, fence));
            }
            if fence == Fence::ByClaim {
                broken.extend(ledger.doubles(attempts, resource));
                broken.extend(ledger.unbalanced(attempts, resource));
            }
        }
        broken
    }

    /// Acknowledged writes that are not in the result; a lower bound.
    pub(super) fn updates_lost(&self) -> u64 {
        self.by_resource.values().map(Ledger::updates_lost).sum()
    }
}

impl Ledger {
    fn take(&mut self, attempt: u64, mut write: Write, accepted: Option<bool>) {
        let key = (attempt, write.value);
        match accepted {
            None => {
                write.sent_us = write.at_us;
                self.unknown.entry(key).or_insert(write);
            }
            Some(accepted) => {
                if let Some(sent) = self.unknown.remove(&key) {
                    write.sent_us = sent.sent_us;
                }
                if accepted {
                    self.accepted.push(write);
                }
            }
        }
    }

    /// Accepted writes that were sent after a higher token had been presented.
    fn superseded(&self, attempts: &Attempts<'_>, resource: &str, fence: Fence) -> Vec<Violation> {
        let claims = self.claims.iter().filter(|_| fence == Fence::ByClaim);
        let mut marks: Vec<&Write> = self.accepted.iter().chain(claims).collect();
        marks.retain(|mark| mark.token.is_some());
        marks.sort_by_key(|mark| mark.at_us);
        let mut writes: Vec<&Write> = self.accepted.iter().filter(|write| write.token.is_some()).collect();
        writes.sort_by_key(|write| write.sent_us);
        let (mut broken, mut next, mut highest): (_, _, Option<&Write>) = (Vec::new(), 0, None);
        for write in writes {
            while let Some(mark) = marks.get(next).filter(|mark| mark.at_us < write.sent_us) {
                if highest.is_none_or(|highest| highest.token < mark.token) {
                    highest = Some(mark);
                }
                next += 1;
            }
            let Some(mark) = highest.filter(|mark| mark.token > write.token) else { continue };
            let text = format!(
                "{resource} had seen token {} and accepted a write with token {}",
                mark.token.unwrap_or_default(),
                write.token.unwrap_or_default()
            );
            broken.push(attempts.violation(Rule::Resource, text, &[mark.event, write.event]));
        }
        broken
    }

    /// Two acknowledged writes of one value, of which one is lost.
    fn doubles(&self, attempts: &Attempts<'_>, resource: &str) -> Vec<Violation> {
        let (mut broken, mut known) = (Vec::new(), HashMap::new());
        for write in &self.accepted {
            if let Some(earlier) = known.insert(write.value, write.event) {
                let text = format!("{resource} lost an update: {} was acknowledged twice", write.value);
                broken.push(attempts.violation(Rule::Resource, text, &[earlier, write.event]));
            }
        }
        broken
    }

    /// A result that the writes cannot have led to.
    fn unbalanced(&self, attempts: &Attempts<'_>, resource: &str) -> Vec<Violation> {
        let Some((event, last)) = self.last else { return Vec::new() };
        let mut broken = Vec::new();
        if let Some(write) = self.accepted.iter().find(|write| write.value > last) {
            let text = format!("{resource} acknowledged {} and ended at {last}", write.value);
            broken.push(attempts.violation(Rule::Resource, text, &[write.event, event]));
        }
        let maybe = self.unknown.values();
        let values: BTreeSet<u64> = self.accepted.iter().chain(maybe).map(|write| write.value).collect();
        let written = values.range(..=last).filter(|value| **value > 0).count() as u64;
        if written < last {
            let text = format!("{resource} ended at {last}, and only {written} writes can have led there");
            broken.push(attempts.violation(Rule::Resource, text, &[event]));
        }
        broken
    }

    fn updates_lost(&self) -> u64 {
        let acknowledged = self.accepted.len() as u64;
        let values: BTreeSet<u64> = self.accepted.iter().map(|write| write.value).collect();
        let last = self.last.map(|(_, last)| last).or(self.accepted.last().map(|write| write.value));
        let last = last.unwrap_or_default();
        let kept = values.range(..=last).count() as u64;
        (acknowledged - kept).max(acknowledged.saturating_sub(last))
    }
}
