//! Rule 2: no two hold at one instant.
//!
//! A hold lasts from the answer to the release, the signal of the loss or the deadline, as `Lease::check` says. Without
//! clocks of about the same rate and a server that keeps its data, an overlap is counted and is no violation.

use super::{
    attempts::{Attempts, Hold},
    rules::{Rule, Violation},
};

/// The holds of a run that began during another one that excludes them.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    /// Violations where leases exclude.
    pub(super) each: Vec<Violation>,
    /// The time for which locks were held more than once.
    pub(super) total_us: u64,
}

pub(super) fn overlaps(attempts: &Attempts<'_>) -> Overlaps {
    let mut overlaps = Overlaps::default();
    for mut holds in attempts.holds() {
        holds.retain(|hold| hold.granted.at_us < hold.until_us);
        holds.sort_by_key(|hold| hold.granted.at_us);
        overlaps.each.extend(pairs(attempts, &holds));
        overlaps.total_us = overlaps.total_us.saturating_add(doubly_held_us(&holds));
    }
    overlaps
}

/// One overlap a hold: with the earlier hold that lasts longest.
fn pairs(attempts: &Attempts<'_>, holds: &[Hold<'_>]) -> Vec<Violation> {
    let (mut found, mut writer, mut any): (_, Option<&Hold<'_>>, Option<&Hold<'_>>) =
        (Vec::new(), None, None);
    for hold in holds {
        let earlier = if hold.attempt.shared { writer } else { any };
        if let Some(earlier) = earlier.filter(|earlier| earlier.overlaps(hold)) {
            let text = format!(
                "attempt {} held {} until {} us when attempt {} was granted it",
                earlier.attempt.number, hold.attempt.lock, earlier.until_us, hold.attempt.number
            );
            let events = [earlier.granted.event, hold.granted.event];
            found.push(attempts.violation(Rule::Exclusion, text, &events));
        }
        let longer = |known: Option<&Hold<'_>>| known.is_none_or(|known| known.until_us < hold.until_us);
        if longer(any) {
            any = Some(hold);
        }
        if !hold.attempt.shared && longer(writer) {
            writer = Some(hold);
        }
    }
    found
}

/// A sweep over beginnings and ends.
fn doubly_held_us(holds: &[Hold<'_>]) -> u64 {
    let edges = |hold: &Hold<'_>| {
        [(hold.granted.at_us, 1_i64, hold.attempt.shared), (hold.until_us, -1, hold.attempt.shared)]
    };
    let mut edges: Vec<(u64, i64, bool)> = holds.iter().flat_map(edges).collect();
    edges.sort_unstable();
    let (mut readers, mut writers, mut before_us, mut total_us) = (0_i64, 0_i64, 0, 0_u64);
    for (at_us, change, shared) in edges {
        if writers > 1 || writers == 1 && readers > 0 {
            total_us = total_us.saturating_add(at_us - before_us);
        }
        *(if shared { &mut readers } else { &mut writers }) += change;
        before_us = at_us;
    }
    total_us
}
