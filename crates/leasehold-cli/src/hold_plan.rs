//! The options of a lock that is held while a command runs.

use std::time::Duration;

use anyhow::Result;
use leasehold::LockOptions;

use crate::{
    cmd::common::{HoldArgs, LossArgs},
    duration::show,
    exit::CliError,
    loss_policy::{OnLost, Schedule},
};

const TTL: Duration = Duration::from_secs(30);

pub(crate) struct HoldPlan {
    pub(crate) ttl: Duration,
    pub(crate) hold_max: Option<Duration>,
    pub(crate) on_lost: OnLost,
    pub(crate) schedule: Schedule,
}

impl HoldPlan {
    /// Fills in defaults and refuses contradictions. `defaults` are the time to live and the grace of the store.
    pub(crate) fn new(
        hold: &HoldArgs,
        loss: &LossArgs,
        defaults: (Option<Duration>, Option<Duration>),
    ) -> Result<Self> {
        let longest = loss.hold_max.unwrap_or(Duration::MAX);
        let ttl = hold.ttl.unwrap_or(defaults.0.unwrap_or(TTL).min(longest));
        if ttl > longest {
            let message = format!("--hold-max {} is shorter than the ttl of {}", show(longest), show(ttl));
            return Err(CliError::usage(message, "lower --ttl as well, or leave it out"));
        }
        let grace = match loss.grace {
            None => defaults.1.unwrap_or(Schedule::GRACE).min(ttl / 2),
            Some(grace) if ttl >= grace * 2 => grace,
            Some(grace) => {
                let (grace, ttl) = (show(grace), show(ttl));
                let message = format!("--grace {grace} needs a ttl of at least twice as much, not {ttl}");
                return Err(CliError::usage(message, "raise --ttl, or lower --grace"));
            }
        };
        let schedule = Schedule::new(ttl, grace);
        Ok(HoldPlan { ttl, hold_max: loss.hold_max, on_lost: loss.on_lost, schedule })
    }

    pub(crate) fn options(&self, options: LockOptions, note: String) -> LockOptions {
        let max_hold = self.hold_max.or(options.max_hold);
        LockOptions { ttl: self.ttl, max_hold, note: Some(note.into()), ..options }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::common::NoteCommand;

    const fn s(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn plan(ttl: Option<Duration>, grace: Option<Duration>, hold_max: Option<Duration>) -> Result<HoldPlan> {
        let loss = LossArgs { on_lost: OnLost::Kill, grace, hold_max };
        HoldPlan::new(&HoldArgs { ttl, note: None, note_command: NoteCommand::Program }, &loss, (None, None))
    }

    #[test]
    fn defaults_fit_the_options_given() {
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
    fn contradictions_are_refused() {
        assert!(plan(s(10), s(5), None).is_ok());
        assert!(plan(s(9), s(5), None).is_err());
        assert!(plan(None, s(16), None).is_err());
        assert!(plan(s(30), None, s(10)).is_err());
    }
}
