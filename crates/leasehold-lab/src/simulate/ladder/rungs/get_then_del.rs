//! Rung 4: the lock has its owner's id, and the release looks before it deletes. These are two commands again.

use anyhow::Result;
use leasehold_testkit::redis::Connection;

use super::{Rung, TOGETHER, TTL_MS};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome, SOON},
    stage::Stage,
};

const KEY: &str = "ladder:4";

struct Client {
    connection: Connection,
    id: &'static str,
}

impl Client {
    fn new(stage: &Stage, id: &'static str) -> Result<Client> {
        Ok(Client { connection: stage.connect()?, id })
    }

    fn try_lock(&mut self) -> Result<bool> {
        let reply = self.connection.call(&["SET", KEY, self.id, "NX", "PX", TTL_MS])?.accepted()?;
        Ok(reply.text() == Some("OK"))
    }

    /// The first half of the release.
    fn is_mine(&mut self, case: &mut Case<'_>) -> Result<bool> {
        Ok(case.look(&mut self.connection, &["GET", KEY])?.text() == Some(self.id))
    }

    /// The second half.
    fn delete(&mut self, case: &mut Case<'_>) -> Result<bool> {
        Ok(case.look(&mut self.connection, &["DEL", KEY])?.int() == Some(1))
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let client = |id| Client::new(stage, id);
    let (mut first, mut next, mut third) = (client("A")?, client("B")?, client("C")?);
    let failure = "a pause between GET and DEL";
    let mut case = Case::new(stage, rung, failure, Expectation::ForeignRelease);
    case.acquire('A', || first.try_lock())?;
    let read = case.resource.read();
    case.resource.write(read);
    case.end('A');
    let is_mine = first.is_mine(&mut case)?;
    case.vanish('A');
    if !case.wait('B', SOON, || next.try_lock())? {
        return case.done();
    }
    let next_read = case.resource.read();
    let is_next = next.is_mine(&mut case)?;
    // The pause is over, and the first does what it had decided to do.
    let deleted = is_mine && first.delete(&mut case)?;
    case.end('A');
    case.outcome.counts.foreign_releases += u64::from(deleted && is_next);
    if !case.wait('C', SOON, || third.try_lock())? {
        return case.done();
    }
    let third_read = case.resource.read();
    case.work(stage.env.now() + TOGETHER)?;
    case.resource.write(next_read);
    case.end('B');
    case.resource.write(third_read);
    case.end('C');
    case.done()
}
