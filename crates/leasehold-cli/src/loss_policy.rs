//! Decides, without a clock, when a command is signalled because its lease is about to be lost.

use std::{str::FromStr, time::Duration};

use leasehold::session::Status;
use nix::sys::signal::Signal as NamedSignal;
use rustix::process::Signal;

/// The reaction to a lease that is about to be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnLost {
    /// SIGTERM, then SIGKILL before the lease ends.
    Kill,
    /// This signal, once.
    Send(Signal),
    /// Nothing; the exit code still reports the loss.
    Ignore,
}

impl FromStr for OnLost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kill" => Ok(OnLost::Kill),
            "ignore" => Ok(OnLost::Ignore),
            _ => match text.strip_prefix("signal:") {
                Some(name) => signal(name).map(OnLost::Send),
                None => Err("expected `kill`, `signal:NAME` or `ignore`".to_string()),
            },
        }
    }
}

/// Reads `TERM`, `SIGTERM`, `term` or `15`.
fn signal(name: &str) -> Result<Signal, String> {
    let upper = name.to_ascii_uppercase();
    let number = match upper.parse() {
        Ok(number) => number,
        Err(_) => {
            let name = format!("SIG{}", upper.strip_prefix("SIG").unwrap_or(&upper));
            NamedSignal::from_str(&name).map_or(0, |signal| signal as i32)
        }
    };
    Signal::from_named_raw(number)
        .ok_or_else(|| "unknown signal; expected a name such as TERM, or a number".to_string())
}

pub(crate) fn signal_name(number: i32) -> String {
    NamedSignal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

/// Times before the end of the lease at which the command is signalled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Schedule {
    /// The command is asked to stop this long before the end.
    pub(crate) grace: Duration,
    /// The command is killed this long before the end, so that the signal arrives in time on a busy machine.
    pub(crate) margin: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Step {
    /// Nothing for this long; `None` until the status changes.
    Wait(Option<Duration>),
    Ask,
    Kill,
}

impl Schedule {
    /// Default grace, if the ttl is long enough.
    pub(crate) const GRACE: Duration = Duration::from_secs(5);

    pub(crate) fn new(ttl: Duration, grace: Duration) -> Self {
        let margin = (ttl / 20).clamp(Duration::from_millis(5), Duration::from_millis(500));
        Schedule { grace, margin: margin.min(grace) }
    }

    /// The action due when the lease ends in `remaining` unless it is renewed, and reaches its `hold_max` in `allowance`.
    pub(crate) fn step(self, status: Status, remaining: Duration, allowance: Option<Duration>) -> Step {
        let left = match status {
            Status::Lost(_) => return Step::Kill,
            Status::Jeopardy => Some(remaining.min(allowance.unwrap_or(remaining))),
            // A lease that is renewed ends only at its `hold_max`.
            Status::Safe => allowance,
        };
        let Some(left) = left else { return Step::Wait(None) };
        if left <= self.margin {
            Step::Kill
        } else if left <= self.grace {
            Step::Ask
        } else {
            Step::Wait(Some(left - self.grace))
        }
    }

    /// Time from the request to stop until the kill.
    pub(crate) fn until_kill(self, left: Duration) -> Duration {
        left.saturating_sub(self.margin)
    }
}

#[cfg(test)]
mod tests {
    use leasehold::{Lost, LostReason};

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_is_renewed_is_left_alone() {
        let schedule = Schedule::new(s(30), s(5));
        assert_eq!(schedule.step(Status::Safe, s(1), None), Step::Wait(None));
    }

    #[test]
    fn in_jeopardy_the_command_is_asked_at_the_grace_and_killed_before_the_end() {
        let schedule = Schedule::new(s(30), s(5));
        assert_eq!(schedule.step(Status::Jeopardy, s(15), None), Step::Wait(Some(s(10))));
        assert_eq!(schedule.step(Status::Jeopardy, s(5), None), Step::Ask);
        assert_eq!(schedule.step(Status::Jeopardy, s(1), None), Step::Ask);
        assert_eq!(schedule.step(Status::Jeopardy, schedule.margin, None), Step::Kill);
        assert!(schedule.margin > Duration::ZERO);
    }

    #[test]
    fn hold_max_ends_even_a_lease_that_is_renewed() {
        let schedule = Schedule::new(s(30), s(5));
        assert_eq!(schedule.step(Status::Safe, s(30), Some(s(60))), Step::Wait(Some(s(55))));
        assert_eq!(schedule.step(Status::Safe, s(4), Some(s(4))), Step::Ask);
        assert_eq!(schedule.step(Status::Jeopardy, s(20), Some(s(4))), Step::Ask);
    }

    #[test]
    fn what_is_lost_is_killed_at_once() {
        let lost = Status::Lost(Lost { reason: LostReason::ForceReleased, certain: true });
        assert_eq!(Schedule::new(s(30), s(5)).step(lost, s(0), None), Step::Kill);
    }

    #[test]
    fn the_margin_leaves_room_at_every_ttl() {
        for ttl_ms in [50, 100, 1000, 10_000, 100_000] {
            let ttl = Duration::from_millis(ttl_ms);
            let schedule = Schedule::new(ttl, Schedule::GRACE.min(ttl / 2));
            assert!(schedule.margin < schedule.grace, "{ttl:?}");
            assert!(schedule.margin >= Duration::from_millis(5));
        }
    }

    #[test]
    fn signals_are_read_in_every_spelling() {
        for name in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(format!("signal:{name}").parse(), Ok(OnLost::Send(Signal::TERM)));
        }
        assert!("signal:FOO".parse::<OnLost>().is_err());
        assert!("die".parse::<OnLost>().is_err());
        assert_eq!(signal_name(15), "SIGTERM");
    }
}
