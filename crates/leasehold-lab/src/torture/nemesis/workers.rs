//! Worker processes are stopped where it hurts, and killed.
//!
//! Whoever is stopped is one that has read and has not written yet, in one of the lanes by turns, and it goes on as soon
//! as another has read in that lane: a stale write before the first write of the next holder is the one that a check of
//! the token on writes alone lets through (faults C1 to C3 of the catalogue).

use std::time::Duration;

use super::Nemesis;
use crate::torture::{dice::Dice, failure::Result, lane::Lane, lock::TTL};

/// In which lane the next one is struck, by turns.
const AIMS: [Lane; 7] =
    [Lane::Written, Lane::Claimed, Lane::Owner, Lane::Written, Lane::Bare, Lane::Claimed, Lane::Deadline];
/// How long one looks for somebody to strike.
const AIM_LIMIT: Duration = Duration::from_secs(2);
/// The longest pause.
const PAUSE_LIMIT: Duration = Duration::from_millis(TTL.as_millis() as u64 * 2);

impl Nemesis<'_> {
    /// One of two hands, so that two processes may stand still at once. Goes on until the pace is over; whom this hand
    /// has stopped goes on then.
    pub(crate) fn strike_workers(&self, hand: usize) -> Result<()> {
        let mut dice = Dice::new(self.seed, 1 + hand as u64);
        for lane in AIMS.iter().cycle().skip(hand * AIMS.len() / 2) {
            if !self.pace.wait(dice.span_ms(50, 400)) {
                return Ok(());
            }
            self.strike_worker(*lane, &mut dice)?;
        }
        Ok(())
    }

    fn strike_worker(&self, lane: Lane, dice: &mut Dice) -> Result<()> {
        // Thrown in any case, so that what happens does not change what is chosen later.
        let (kills, late, delay) = (dice.one_in(10), dice.one_in(4), dice.span_ms(50, 600));
        let Some(reader) = self.resource.await_reader(lane, AIM_LIMIT) else { return Ok(()) };
        let target = format!("process {}", reader.process);
        if kills {
            self.chronicle.fault("worker killed", &target, false);
            self.crew.replace(reader.process)?;
            self.chronicle.fault("worker killed", &target, true);
            return Ok(());
        }
        if !self.crew.pause(reader.process)? {
            return Ok(());
        }
        self.chronicle.fault("worker paused", &target, false);
        self.resource.await_next_reader(lane, reader, PAUSE_LIMIT);
        if late {
            self.pace.wait(delay);
        }
        self.crew.resume(reader.process)?;
        self.chronicle.fault("worker paused", &target, true);
        Ok(())
    }
}
