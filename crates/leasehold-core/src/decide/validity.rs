//! Until when a lease is one, and when to renew it.

use std::time::Duration;

use crate::{Drift, Moment};

/// The deadline of a hold that the store keeps for `valid_for`: counted from before the request was sent, less the
/// drift between the two clocks. However slow the reply, the store cannot have started to count earlier.
pub fn deadline(sent: Moment, valid_for: Duration, drift: Drift) -> Moment {
    sent + valid_for.saturating_sub(drift.of(valid_for))
}

/// When to renew a hold of `ttl` that was confirmed by a request sent at `sent`: after a third.
pub fn renew_at(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl / 3
}

/// From when on an unconfirmed renewal puts the lease in jeopardy: after half.
pub fn jeopardy_at(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl / 2
}

/// How long before the deadline the loss is signalled, so that the signal comes no later than the deadline although
/// timers and threads take time: a hundredth of the ttl, between 1 and 20 ms.
pub fn signal_lead(ttl: Duration) -> Duration {
    (ttl / 100).clamp(Duration::from_millis(1), Duration::from_millis(20))
}

/// How long to wait before a failed renewal is tried again: a twentieth of the ttl, so that several tries fit in.
pub fn renew_again_after(ttl: Duration) -> Duration {
    (ttl / 20).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn drift_is_taken_off() {
        let sent = Moment::from_nanos(0);
        let ttl = Duration::from_secs(10);
        assert_eq!(deadline(sent, ttl, Drift::SAME_CLOCK), sent + ttl);
        assert_eq!(deadline(sent, ttl, Drift::TWO_CLOCKS), sent + Duration::from_millis(9898));
    }

    #[test]
    fn a_ttl_below_the_drift_is_no_lease_at_all() {
        let sent = Moment::from_nanos(5);
        assert_eq!(deadline(sent, Duration::from_millis(1), Drift::TWO_CLOCKS), sent);
    }

    proptest! {
        #[test]
        fn renewal_comes_before_jeopardy_before_the_signal_before_the_deadline(sent in 0u64..1 << 40, ttl_ms in 50u64..1 << 32) {
            let (sent, ttl) = (Moment::from_nanos(sent), Duration::from_millis(ttl_ms));
            let deadline = deadline(sent, ttl, Drift::TWO_CLOCKS);
            prop_assert!(renew_at(sent, ttl) < jeopardy_at(sent, ttl));
            prop_assert!(jeopardy_at(sent, ttl) < deadline - signal_lead(ttl));
        }
    }
}
