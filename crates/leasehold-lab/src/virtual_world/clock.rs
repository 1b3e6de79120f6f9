//! [`Clock`]: the time of a process as a function of the time of the world.

use leasehold_core::Moment;

/// A clock with a rate of its own, which may be moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Clock {
    /// The last change, in nanoseconds of the world.
    since_ns: u64,
    /// Its time at the last change.
    shown_ns: u64,
    /// Its seconds in a thousand of the world's.
    rate_per_mille: u64,
}

impl Clock {
    /// A correct clock that shows `shown_ns` at the beginning of the world.
    pub(crate) const fn starting_at(shown_ns: u64) -> Clock {
        Clock { since_ns: 0, shown_ns, rate_per_mille: 1000 }
    }

    pub(crate) const fn read(self, world_ns: u64) -> Moment {
        let passed_ns = world_ns.saturating_sub(self.since_ns) as u128 * self.rate_per_mille as u128 / 1000;
        Moment::from_nanos(self.shown_ns.saturating_add(passed_ns as u64))
    }

    /// The time of the world at which it shows `moment`, rounded up, so that it certainly does then.
    pub(crate) const fn when(self, moment: Moment) -> u64 {
        let ahead_ns = moment.nanos().saturating_sub(self.shown_ns) as u128;
        let world_ns = (ahead_ns * 1000).div_ceil(self.rate_per_mille as u128);
        self.since_ns.saturating_add(world_ns as u64)
    }

    pub(crate) const fn set_rate(&mut self, world_ns: u64, rate_per_mille: u64) {
        self.shown_ns = self.read(world_ns).nanos();
        self.since_ns = world_ns;
        self.rate_per_mille = if rate_per_mille == 0 { 1 } else { rate_per_mille };
    }

    pub(crate) const fn jump(&mut self, world_ns: u64, by_ns: i64) {
        self.shown_ns = self.read(world_ns).nanos().saturating_add_signed(by_ns);
        self.since_ns = world_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_when_it_is_said_to_be() {
        let mut clock = Clock::starting_at(1000);
        clock.set_rate(500, 1500);
        assert_eq!(clock.read(500).nanos(), 1500);
        assert_eq!(clock.read(1500).nanos(), 3000);
        for moment in [1500, 1501, 1999, 7777].map(Moment::from_nanos) {
            let world_ns = clock.when(moment);
            assert!(clock.read(world_ns) >= moment);
            assert!(clock.read(world_ns - 1) < moment || world_ns == 500);
        }
    }

    #[test]
    fn a_jump_moves_it_once() {
        let mut clock = Clock::starting_at(5000);
        clock.jump(100, -50);
        assert_eq!(clock.read(100).nanos(), 5050);
        clock.jump(200, 1000);
        assert_eq!(clock.read(300).nanos(), 6250);
    }
}
