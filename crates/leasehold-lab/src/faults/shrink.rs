//! [`shrink`]: fewer and shorter faults that still make a run fail.

use std::time::Duration;

use super::PlannedFault;

/// Reduces a plan as far as `fails` still says yes: first leaves out as many faults as it can, then shortens those that
/// are left. Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002), with the
/// plan as the input.
pub fn shrink(faults: &[PlannedFault], mut fails: impl FnMut(&[PlannedFault]) -> bool) -> Vec<PlannedFault> {
    let mut kept = fewer(faults.to_vec(), &mut fails);
    shorter(&mut kept, &mut fails);
    fewer(kept, &mut fails)
}

fn fewer(mut kept: Vec<PlannedFault>, fails: &mut impl FnMut(&[PlannedFault]) -> bool) -> Vec<PlannedFault> {
    let mut chunk = kept.len();
    while chunk > 0 {
        let mut at = 0;
        while at < kept.len() {
            let end = (at + chunk).min(kept.len());
            let rest: Vec<PlannedFault> = kept[..at].iter().chain(&kept[end..]).copied().collect();
            if fails(&rest) {
                kept = rest;
            } else {
                at = end;
            }
        }
        chunk /= 2;
    }
    kept
}

fn shorter(kept: &mut [PlannedFault], fails: &mut impl FnMut(&[PlannedFault]) -> bool) {
    for at in 0..kept.len() {
        loop {
            let before = kept[at];
            let half = Duration::from_millis(before.length.as_millis() as u64 / 2);
            if half.is_zero() {
                break;
            }
            kept[at].length = half;
            if !fails(kept) {
                kept[at] = before;
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Kind, Target};

    fn pause(client: u32, length_ms: u64) -> PlannedFault {
        PlannedFault {
            kind: Kind::Pause,
            target: Target::Client(client),
            begin: Duration::from_millis(5),
            length: Duration::from_millis(length_ms),
        }
    }

    #[test]
    fn only_what_it_takes_is_left() {
        let all: Vec<PlannedFault> = (1..10).map(|client| pause(client, 800)).collect();
        let guilty = |faults: &[PlannedFault]| {
            let has = |client: u32, length_ms: u64| {
                faults.iter().any(|it| {
                    it.target == Target::Client(client) && it.length.as_millis() as u64 >= length_ms
                })
            };
            has(3, 150) && has(7, 0)
        };
        assert_eq!(shrink(&all, guilty), [pause(3, 200), pause(7, 1)]);
    }

    #[test]
    fn what_fails_without_faults_needs_none() {
        assert_eq!(shrink(&[pause(1, 5)], |_| true), []);
    }
}
