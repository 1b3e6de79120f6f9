//! Rule 1: the grants of a lock, one after the other in the order of their tokens.
//!
//! Each grant took effect between its request and its answer, in the order of the tokens. So the earliest possible point
//! of each is found greedily: after its request, after the points of lower tokens, and after the end of the holds that it
//! excludes. A point after the answer is a violation.
//!
//! Rules 2 and 3 report their own violations. Left for this one are tokens that were granted twice, and a grant during a
//! hold with a lower token whose holder did not know of it yet.

use super::{
    attempts::{Attempts, Hold},
    rules::{Assumptions, Rule, Violation},
};

pub(super) fn check(attempts: &Attempts<'_>, assumptions: &Assumptions) -> Vec<Violation> {
    let mut broken = Vec::new();
    for holds in attempts.holds() {
        let mut holds: Vec<(u64, Hold<'_>)> =
            holds.into_iter().filter_map(|hold| Some((hold.granted.token?, hold))).collect();
        holds.sort_by_key(|(token, hold)| (*token, hold.granted.at_us));
        broken.extend(doubles(attempts, &holds));
        if assumptions.exclusive() {
            broken.extend(misplaced(attempts, &holds));
        }
    }
    broken
}

fn doubles(attempts: &Attempts<'_>, holds: &[(u64, Hold<'_>)]) -> Vec<Violation> {
    let pairs = holds.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let violations = pairs.map(|pair| {
        let (first, second) = (&pair[0].1, &pair[1].1);
        let text = format!(
            "token {} of {} was granted to attempt {} and to attempt {}",
            pair[0].0, first.attempt.lock, first.attempt.number, second.attempt.number
        );
        attempts.violation(Rule::Order, text, &[first.granted.event, second.granted.event])
    });
    violations.collect()
}

/// The earliest point at which a grant can have taken effect, and the hold that had to end before, if any.
#[derive(Clone, Copy, Default)]
struct Earliest<'h, 'a> {
    at_us: u64,
    after: Option<&'h Hold<'a>>,
}

impl<'h, 'a> Earliest<'h, 'a> {
    fn or_later(self, at_us: u64, after: Option<&'h Hold<'a>>) -> Self {
        if at_us > self.at_us { Self { at_us, after } } else { self }
    }
}

fn misplaced(attempts: &Attempts<'_>, holds: &[(u64, Hold<'_>)]) -> Vec<Violation> {
    let mut broken = Vec::new();
    let (mut point, mut writers, mut any) = (Earliest::default(), Earliest::default(), Earliest::default());
    for (_, hold) in holds {
        let barrier = if hold.attempt.shared { writers } else { any };
        point = point.or_later(hold.attempt.asked_us, None).or_later(barrier.at_us, barrier.after);
        if point.at_us > hold.granted.at_us {
            broken.extend(point.after.and_then(|earlier| inside(attempts, earlier, hold)));
            // Reported once: later grants are measured from the answer.
            point = Earliest { at_us: hold.granted.at_us, after: None };
        }
        any = any.or_later(hold.until_us, Some(hold));
        if !hold.attempt.shared {
            writers = writers.or_later(hold.until_us, Some(hold));
        }
    }
    broken
}

fn inside(attempts: &Attempts<'_>, earlier: &Hold<'_>, hold: &Hold<'_>) -> Option<Violation> {
    if earlier.excludes(hold) && earlier.overlaps(hold) || earlier.attempt.asked_us > hold.granted.at_us {
        return None;
    }
    let text = format!(
        "attempt {} was granted {} with a higher token before the hold of attempt {} was over",
        hold.attempt.number, hold.attempt.lock, earlier.attempt.number
    );
    Some(attempts.violation(Rule::Order, text, &[earlier.granted.event, hold.granted.event]))
}
