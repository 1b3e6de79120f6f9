//! Rule 5: after the last fault every request is answered, and a free lock is granted.
//!
//! Both within a bound that covers the longest lease, so that every forgotten hold has expired. Requests of a process that
//! was killed need no answer.

use std::{collections::BTreeMap, time::Duration};

use super::{
    attempts::{Attempt, Attempts, Refused},
    rules::{Rule, Violation},
};
use crate::history::EventKind;

pub(super) fn check(attempts: &Attempts<'_>, bound: Duration) -> Vec<Violation> {
    let healed = attempts.events.iter().rposition(|event| event.kind == EventKind::Healed);
    let Some(healed) = healed else { return Vec::new() };
    let end = RunEnd {
        attempts,
        healed,
        healed_us: attempts.events[healed].at_us,
        ended_us: attempts.events.last().map_or(0, |event| event.at_us),
        bound_us: u64::try_from(bound.as_micros()).unwrap_or(u64::MAX),
    };
    let mut broken: Vec<Violation> =
        attempts.all.values().filter_map(|attempt| end.left_waiting(attempt)).collect();
    let mut by_lock: BTreeMap<&str, Vec<&Attempt<'_>>> = BTreeMap::new();
    for attempt in attempts.all.values() {
        by_lock.entry(attempt.lock).or_default().push(attempt);
    }
    broken.extend(by_lock.into_values().flat_map(|of_lock| end.kept_out(&of_lock)));
    broken
}

struct RunEnd<'s, 'a> {
    attempts: &'s Attempts<'a>,
    healed: usize,
    healed_us: u64,
    ended_us: u64,
    bound_us: u64,
}

impl RunEnd<'_, '_> {
    fn left_waiting(&self, attempt: &Attempt<'_>) -> Option<Violation> {
        let due_us = attempt.asked_us.max(self.healed_us).saturating_add(self.bound_us);
        let by_then = attempt.answered_us().or(attempt.gone_us).is_some_and(|at_us| at_us <= due_us);
        if by_then || self.ended_us <= due_us {
            return None;
        }
        let text = format!("attempt {} on {} was not answered by {due_us} us", attempt.number, attempt.lock);
        Some(self.attempts.violation(Rule::Liveness, text, &[self.healed, attempt.asked]))
    }

    /// The first refusal of a lock that was certainly free for longer than the bound.
    fn kept_out(&self, of_lock: &[&Attempt<'_>]) -> Option<Violation> {
        let mut spans: Vec<(u64, u64)> = of_lock.iter().filter_map(|attempt| self.span_us(attempt)).collect();
        spans.sort_unstable();
        let mut refusals: Vec<(&Attempt<'_>, Refused)> =
            of_lock.iter().filter_map(|attempt| Some((*attempt, attempt.refused?))).collect();
        refusals.sort_by_key(|(_, refused)| refused.at_us);
        let (mut free_us, mut next) = (self.healed_us, 0);
        for (attempt, refused) in refusals {
            while let Some((_, end_us)) = spans.get(next).filter(|(start_us, _)| *start_us <= refused.at_us) {
                free_us = free_us.max(*end_us);
                next += 1;
            }
            if attempt.granted.is_none() && refused.at_us > free_us.saturating_add(self.bound_us) {
                let text = format!(
                    "attempt {} on {} was refused at {} us, and nobody held it after {free_us} us",
                    attempt.number, attempt.lock, refused.at_us
                );
                let events = [self.healed, attempt.asked, refused.event];
                return Some(self.attempts.violation(Rule::Liveness, text, &events));
            }
        }
        None
    }

    /// The time in which an attempt may have held; `None`: it certainly never did.
    fn span_us(&self, attempt: &Attempt<'_>) -> Option<(u64, u64)> {
        if let Some(hold) = attempt.hold() {
            return Some((hold.attempt.asked_us, hold.until_us.max(attempt.last_us)));
        }
        match attempt.refused {
            Some(refused) => refused.unknown.then_some((attempt.asked_us, refused.at_us)),
            // Still asking when it was ended, or when the run was.
            None => Some((attempt.asked_us, attempt.gone_us.unwrap_or(self.ended_us))),
        }
    }
}
