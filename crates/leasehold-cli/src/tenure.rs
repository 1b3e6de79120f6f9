//! On what terms a lock is held while a command runs.

use std::time::Duration;

use anyhow::Result;
use leasehold::LockOptions;

use crate::{
    args::{LossArguments, Tenure},
    duration::show,
    exit::Refusal,
    loss::{OnLost, Schedule},
};

/// The time to live of those who name none.
const TTL: Duration = Duration::from_secs(30);
/// On what terms a lock is held while a command runs.
pub(crate) struct Plan {
    pub(crate) ttl: Duration,
    pub(crate) hold_max: Option<Duration>,
    pub(crate) on_lost: OnLost,
    pub(crate) schedule: Schedule,
}

impl Plan {
    /// Fills in what was not said, and refuses what cannot be meant. `usual_ttl` is that of the store's URL.
    pub(crate) fn new(tenure: &Tenure, loss: &LossArguments, usual_ttl: Option<Duration>) -> Result<Self> {
        let longest = loss.hold_max.unwrap_or(Duration::MAX);
        let ttl = tenure.ttl.unwrap_or(usual_ttl.unwrap_or(TTL).min(longest));
        if ttl > longest {
            let message = format!("--hold-max {} is shorter than the ttl of {}", show(longest), show(ttl));
            return Err(Refusal::usage(message, "lower --ttl as well, or leave it out"));
        }
        let grace = match loss.grace {
            None => Schedule::GRACE.min(ttl / 2),
            Some(grace) if ttl >= grace * 2 => grace,
            Some(grace) => {
                let message =
                    format!("a grace of {} needs a ttl of twice as much, not {}", show(grace), show(ttl));
                return Err(Refusal::usage(message, "raise --ttl, or lower --grace"));
            }
        };
        Ok(Plan { ttl, hold_max: loss.hold_max, on_lost: loss.on_lost, schedule: Schedule::new(ttl, grace) })
    }

    /// The terms for the store.
    pub(crate) fn terms(&self, terms: LockOptions, note: String) -> LockOptions {
        let terms = terms.ttl(self.ttl).note(note);
        match self.hold_max {
            Some(hold_max) => terms.hold_max(hold_max),
            None => terms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn plan(ttl: Option<Duration>, grace: Option<Duration>, hold_max: Option<Duration>) -> Result<Plan> {
        let loss = LossArguments { on_lost: OnLost::Kill, grace, hold_max };
        Plan::new(&Tenure { ttl, note: None }, &loss, None)
    }

    #[test]
    fn what_is_not_said_fits_what_is() {
        for (ttl, hold_max, expected_ttl, expected_grace) in [
            (None, None, s(30), s(5)),
            (s(4), None, s(4), s(2)),
            (None, s(6), s(6), s(3)),
            (s(60), s(90), s(60), s(5)),
        ] {
            let plan = plan(ttl, None, hold_max).unwrap();
            assert_eq!((Some(plan.ttl), Some(plan.schedule.grace)), (expected_ttl, expected_grace));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(plan(s(10), s(5), None).is_ok());
        assert!(plan(s(9), s(5), None).is_err());
        assert!(plan(None, s(16), None).is_err());
        assert!(plan(s(30), None, s(10)).is_err());
    }
}
