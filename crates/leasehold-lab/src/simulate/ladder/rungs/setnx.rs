//! Rung 1: `SETNX`, work, `DEL`. A holder that crashes has locked for ever.

use anyhow::Result;
use leasehold_testkit::redis::Connection;

use super::{BOUND, Rung};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome},
    stage::Stage,
};

const KEY: &str = "ladder:1";

struct Client(Connection);

impl Client {
    fn try_lock(&mut self) -> Result<bool> {
        Ok(self.0.call(&["SETNX", KEY, "locked"])?.accepted()?.int() == Some(1))
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let (mut first, mut next) = (Client(stage.connect()?), Client(stage.connect()?));
    let mut case = Case::new(stage, rung, "the holder crashes", Expectation::LockedForEver);
    case.acquire('A', || first.try_lock())?;
    drop(first);
    case.vanish('A');
    case.watch_for_ever(KEY, BOUND, || next.try_lock())?;
    case.done()
}
