//! [`Rng`]: the random numbers of a run.

use std::time::Duration;

/// A stream of numbers determined by a seed: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// An independent stream for another purpose.
    #[must_use]
    pub(crate) fn split(&self, purpose: u64) -> Rng {
        let mut other = Rng(self.0 ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        other.next_u64();
        other
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[low, high)`; `low` when that is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next_u64() % high.saturating_sub(low).max(1)
    }

    /// A span in `[low, high)`, in whole microseconds.
    pub(crate) fn span(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(micros(low), micros(high)))
    }

    /// A span in `[low, high]` milliseconds.
    pub(crate) fn span_ms(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high + 1))
    }

    /// An index below `count`; 0 when there is none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.between(0, count as u64) as usize
    }

    /// `true` with the probability 1 / `count`.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// `true` with that probability in percent.
    pub(crate) fn percent(&mut self, chance: u8) -> bool {
        chance > 0 && self.between(0, 100) < u64::from(chance)
    }

    pub(crate) fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_stream_and_a_split_is_another() {
        let mut one = Rng::new(7);
        let mut other = one.split(1);
        assert_eq!(one.clone().next_u64(), Rng::new(7).next_u64());
        assert_ne!(one.next_u64(), other.next_u64());
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut rng = Rng::new(1);
        for _ in 0..1000 {
            assert!((3..9).contains(&rng.between(3, 9)));
            assert_eq!(rng.between(5, 5), 5);
            assert!(!rng.percent(0) && rng.percent(100));
        }
    }
}
