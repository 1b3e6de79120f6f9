//! Rung 2: `SETNX`, then `EXPIRE`. These are two commands, and a crash fits in between.

use anyhow::Result;
use leasehold_testkit::redis::Connection;

use super::{BOUND, Rung, TTL_MS};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome},
    stage::Stage,
};

const KEY: &str = "ladder:2";

struct Client(Connection);

impl Client {
    fn try_lock(&mut self) -> Result<bool> {
        if !self.set()? {
            return Ok(false);
        }
        self.0.call(&["PEXPIRE", KEY, TTL_MS])?.accepted()?;
        Ok(true)
    }

    fn set(&mut self) -> Result<bool> {
        Ok(self.0.call(&["SETNX", KEY, "locked"])?.accepted()?.int() == Some(1))
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let (mut first, mut next) = (Client(stage.connect()?), Client(stage.connect()?));
    let failure = "a crash between the two commands";
    let mut case = Case::new(stage, rung, failure, Expectation::LockedForEver);
    // It crashes in the middle of try_lock.
    case.acquire('A', || first.set())?;
    drop(first);
    case.vanish('A');
    case.watch_for_ever(KEY, BOUND, || next.try_lock())?;
    case.done()
}
