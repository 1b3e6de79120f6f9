//! Rung 3: `SET NX PX`, work, `DEL`. Work that outlives the expiry ends by deleting the lock of the next holder.

use anyhow::Result;
use leasehold_testkit::redis::Connection;

use super::{LONG, Rung, TOGETHER, TTL_MS};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome, SOON},
    stage::Stage,
};

const KEY: &str = "ladder:3";

struct Client(Connection);

impl Client {
    fn try_lock(&mut self) -> Result<bool> {
        let reply = self.0.call(&["SET", KEY, "locked", "NX", "PX", TTL_MS])?.accepted()?;
        Ok(reply.text() == Some("OK"))
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let connect = || stage.connect().map(Client);
    let (mut first, mut next, mut third) = (connect()?, connect()?, connect()?);
    let mut case = Case::new(stage, rung, "work outlives the expiry", Expectation::ForeignRelease);
    case.acquire('A', || first.try_lock())?;
    let done = stage.env.now() + LONG;
    let read = case.resource.read();
    if !case.wait('B', SOON, || next.try_lock())? {
        return case.done();
    }
    let next_read = case.resource.read();
    // The second one has the lock, and the first goes on to its end.
    case.work(done)?;
    case.resource.write(read);
    case.end('A');
    let deleted = case.look(&mut first.0, &["DEL", KEY])?.int() == Some(1);
    case.outcome.counts.foreign_releases += u64::from(deleted);
    if !case.wait('C', SOON, || third.try_lock())? {
        return case.done();
    }
    let third_read = case.resource.read();
    case.work(stage.env.now() + TOGETHER)?;
    case.resource.write(next_read);
    case.end('B');
    case.resource.write(third_read);
    case.end('C');
    case.look(&mut third.0, &["DEL", KEY])?;
    case.done()
}
