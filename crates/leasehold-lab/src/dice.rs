//! [`Dice`]: every choice of a run, from its seed.

use std::time::Duration;

/// A stream of numbers that one seed decides: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Another stream, for another purpose: what is drawn from it does not move this one.
    #[must_use]
    pub fn split(&self, purpose: u64) -> Dice {
        let mut other = Dice(self.0 ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        other.roll();
        other
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[low, high)`; `low` when that is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % high.saturating_sub(low).max(1)
    }

    /// A span in `[low, high)`, in whole microseconds.
    pub fn span(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(micros(low), micros(high)))
    }

    /// Whether something happens that happens so often in a hundred.
    pub fn percent(&mut self, chance: u8) -> bool {
        chance > 0 && self.between(0, 100) < u64::from(chance)
    }

    /// One of `all`.
    ///
    /// # Panics
    /// When there is none.
    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.between(0, all.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_stream_and_a_split_is_another() {
        let mut one = Dice::new(7);
        let mut other = one.split(1);
        assert_eq!(one.clone().roll(), Dice::new(7).roll());
        assert_ne!(one.roll(), other.roll());
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut dice = Dice::new(1);
        for _ in 0..1000 {
            assert!((3..9).contains(&dice.between(3, 9)));
            assert_eq!(dice.between(5, 5), 5);
            assert!(!dice.percent(0) && dice.percent(100));
        }
    }
}
