//! Rule 3: tokens grow.
//!
//! A request sent after another was answered gets a higher token; concurrent requests have no order. The rule needs no
//! assumption about clocks or leases. Equal tokens are for rule 1.

use super::{
    attempts::{Attempts, Hold},
    rules::{Rule, Violation},
};

/// Tokens stay below this, so that Lua, JavaScript and SQL keep them exact.
const END: u64 = 1 << 53;

pub(super) fn check(attempts: &Attempts<'_>) -> Vec<Violation> {
    let mut broken = Vec::new();
    for holds in attempts.holds() {
        broken.extend(holds.iter().filter_map(|hold| shape(attempts, hold)));
        broken.extend(falls(attempts, &holds));
    }
    broken
}

/// A violation by the token of one hold alone.
fn shape(attempts: &Attempts<'_>, hold: &Hold<'_>) -> Option<Violation> {
    let granted = hold.granted;
    let (text, events) = match (granted.contradicted, granted.token) {
        (Some(other), _) => ("changed while it was held", vec![granted.event, other]),
        (None, None) => ("is missing", vec![granted.event]),
        (None, Some(END..)) => ("is 2^53 or more", vec![granted.event]),
        _ => return None,
    };
    let text = format!("the token of attempt {} on {} {text}", hold.attempt.number, hold.attempt.lock);
    Some(attempts.violation(Rule::Tokens, text, &events))
}

/// Compares each request with the highest token that was granted before it.
fn falls(attempts: &Attempts<'_>, holds: &[Hold<'_>]) -> Vec<Violation> {
    let mut asked: Vec<&Hold<'_>> = holds.iter().collect();
    let mut answered = asked.clone();
    asked.sort_by_key(|hold| hold.attempt.asked_us);
    answered.sort_by_key(|hold| hold.granted.at_us);
    let (mut broken, mut next, mut highest): (_, _, Option<&Hold<'_>>) = (Vec::new(), 0, None);
    for hold in asked {
        while let Some(earlier) = answered.get(next).filter(|it| it.granted.at_us < hold.attempt.asked_us) {
            if highest.is_none_or(|highest| highest.granted.token < earlier.granted.token) {
                highest = Some(earlier);
            }
            next += 1;
        }
        let Some(earlier) = highest else { continue };
        if let (Some(before), Some(token)) = (earlier.granted.token, hold.granted.token)
            && before > token
        {
            let text = format!(
                "attempt {} asked for {} after attempt {} was granted token {before}, and got {token}",
                hold.attempt.number, hold.attempt.lock, earlier.attempt.number
            );
            let events = [earlier.granted.event, hold.attempt.asked, hold.granted.event];
            broken.push(attempts.violation(Rule::Tokens, text, &events));
        }
    }
    broken
}
