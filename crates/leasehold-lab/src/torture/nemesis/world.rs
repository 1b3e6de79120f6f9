//! Servers and links fail, one at a time, while workers do.

use super::Nemesis;
use crate::torture::{dice::Dice, failure::Result};

impl Nemesis<'_> {
    /// Goes on until the pace is over; all is healed then.
    pub(crate) fn strike_world(&self) -> Result<()> {
        let mut dice = Dice::new(self.seed, 10);
        while self.pace.wait(dice.span_ms(500, 3000)) {
            let network = self.scene.network().filter(|_| dice.one_in(2));
            let strike = match network {
                Some(network) => Some(network.strike(&mut dice)),
                None => self.scene.strike(&mut dice)?,
            };
            let Some(strike) = strike else { continue };
            self.chronicle.fault(strike.name, &strike.target, false);
            self.pace.wait(strike.lasts);
            (strike.heal)()?;
            self.chronicle.fault(strike.name, &strike.target, true);
        }
        Ok(())
    }
}
