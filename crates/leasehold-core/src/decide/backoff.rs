//! Back-off: the pause before the next attempt.

use std::time::Duration;

/// The delay before try number `attempt` (the first is 0): doubles from `base` up to `max`, and `fraction` in `[0, 1)`
/// takes off up to half, so that attempts that failed together do not return together.
pub fn delay(attempt: u32, base: Duration, max: Duration, fraction: f64) -> Duration {
    let whole = base.saturating_mul(1u32 << attempt.min(16)).min(max);
    whole.mul_f64(1.0 - fraction.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_and_stops_at_the_maximum() {
        let (base, max) = (Duration::from_millis(10), Duration::from_secs(1));
        assert_eq!(delay(0, base, max, 0.0), base);
        assert_eq!(delay(3, base, max, 0.0), base * 8);
        assert_eq!(delay(u32::MAX, base, max, 0.0), max);
    }

    proptest! {
        #[test]
        fn it_stays_within_half_and_whole(attempt: u32, fraction in 0.0f64..1.0) {
            let (base, max) = (Duration::from_millis(7), Duration::from_secs(3));
            let waited = delay(attempt, base, max, fraction);
            prop_assert!(waited >= base / 2 && waited <= max);
        }
    }
}
