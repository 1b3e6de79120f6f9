//! Rule 4: the resource accepts nothing of a superseded holder, and loses no write that it acknowledged.
//!
//! A resource is a counter: every write sets it to one more than was read. So the values that were acknowledged are all
//! different, and together they are all numbers up to the last, or an update was lost: this end-to-end rule sees what
//! rules 1 to 3 cannot, a stale write that slips in after the next holder has been granted the lock and before it has
//! written. Writes whose outcome is not known may count or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Rule, Violation, attempts::Attempts};
use crate::{history::EventKind, resource::Fence};

/// One write that was answered, or one that was not.
#[derive(Clone, Copy, Debug)]
struct Write {
    event: usize,
    /// Not before this: when it was said to be sent, or the last that the attempt said before the answer.
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
    /// When a token was known to have been presented, and which.
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
            match &event.kind {
                EventKind::Read { attempt, resource, value: Some(value) } => {
                    let token = attempts.token(*attempt);
                    let claim = Write { event: index, sent_us, at_us, token, value: *value };
                    ledgers.ledger(resource).claims.push(claim);
                }
                EventKind::Write { attempt, resource, value, accepted } => {
                    let token = attempts.token(*attempt);
                    let write = Write { event: index, sent_us, at_us, token, value: *value };
                    ledgers.ledger(resource).take(*attempt, write, *accepted);
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

    /// Writes that were acknowledged and are not in the result; at least so many.
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

    /// Writes that were sent after a higher token was known to have been presented, and were accepted.
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

    /// Two acknowledged writes of one value: both had read the same, and one of them is lost.
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

    /// The result and what led to it.
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
