//! [`ServerClock`]: whether the server's clock stands still.
//!
//! The server's time goes on when its timer fires, once a second. After it was stopped (SIGSTOP, a virtual machine that was
//! paused), it answers before the timer fires: what it stores then for T seconds ends T seconds after the moment at which
//! it was stopped, which may be at once. So the time that it shows is compared with the time that has passed here.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_core::Moment;

/// What the clock may lag behind without anything being wrong: it ticks once a second.
const TICK: i128 = 1_000_000_000;
/// The two clocks may differ in rate by one in so many.
const RATE: i128 = 100;

/// How far the server's clock was seen to be ahead of ours.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(Mutex<Option<Seen>>);

#[derive(Debug, Clone)]
struct Seen {
    /// The run of the server that it belongs to.
    run: Arc<str>,
    /// Server's time less ours, at least, in nanoseconds.
    lead: i128,
    at: Moment,
}

impl ServerClock {
    /// How much less than it says a hold lasts that the server shows when its time is `second`, asked for at `sent` and
    /// answered at `received`.
    pub(crate) fn lag(&self, run: &Arc<str>, second: u64, sent: Moment, received: Moment) -> Duration {
        let time = i128::from(second) * 1_000_000_000;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lead = seen.as_ref().filter(|seen| seen.run == *run).map(|seen| {
            // An old look is worth less.
            seen.lead - i128::from(received.nanos().saturating_sub(seen.at.nanos())) / RATE
        });
        let lag = lead.map_or(0, |lead| lead + i128::from(sent.nanos()) - TICK - time);
        let now = time - i128::from(received.nanos());
        if lead.is_none_or(|lead| now >= lead) {
            *seen = Some(Seen { run: run.clone(), lead: now, at: received });
        }
        Duration::from_nanos(u64::try_from(lag.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_clock_that_stands_still_is_seen() {
        let (clock, run) = (ServerClock::default(), Arc::from("run"));
        assert_eq!(clock.lag(&run, 1000, at(50), at(60)), Duration::ZERO);
        assert_eq!(clock.lag(&run, 1005, at(5_050), at(5_060)), Duration::ZERO);
        // Stopped for ten seconds: what it stores for twelve lasts two.
        let lag = clock.lag(&run, 1005, at(15_050), at(15_060));
        assert!(lag > Duration::from_millis(8_800) && lag < Duration::from_secs(10), "{lag:?}");
        assert_eq!(clock.lag(&run, 1015, at(15_200), at(15_210)), Duration::ZERO, "the timer has fired");
        assert_eq!(clock.lag(&Arc::from("other"), 3, at(15_300), at(15_310)), Duration::ZERO, "another run");
    }

    proptest! {
        #[test]
        fn a_clock_that_ticks_lags_for_nothing(
            steps in proptest::collection::vec((1u64..3_000, 0u64..500, 0u64..500), 1..50),
            phase in 0u64..1_000,
        ) {
            let (clock, run) = (ServerClock::default(), Arc::from("run"));
            let mut now = 0;
            for (pause, there, back) in steps {
                now += pause;
                let (sent, asked) = (now, now + there);
                now = asked + back;
                let second = 1_000 + (asked + phase) / 1_000;
                prop_assert_eq!(clock.lag(&run, second, at(sent), at(now)), Duration::ZERO);
            }
        }
    }
}
