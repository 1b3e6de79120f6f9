//! Rung 5: the release compares and deletes in one step. Nobody's lock is freed but one's own, and work that outlives
//! the lease still is not alone; the release tells, when all is done.

use anyhow::Result;
use leasehold_testkit::redis::Connection;

use super::{DELETE_IF_MINE, LONG, Rung, TTL_MS};
use crate::simulate::ladder::{
    case::{Case, Expectation, Outcome, SOON},
    stage::Stage,
};

const KEY: &str = "ladder:5";

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

    fn unlock(&mut self, case: &mut Case<'_>) -> Result<()> {
        case.look(&mut self.connection, &["EVAL", DELETE_IF_MINE, "1", KEY, self.id]).map(drop)
    }
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    let (mut first, mut next) = (Client::new(stage, "A")?, Client::new(stage, "B")?);
    let mut case = Case::new(stage, rung, "work outlives the lease", Expectation::TwoHolders);
    case.acquire('A', || first.try_lock())?;
    let done = stage.env.now() + LONG;
    let read = case.resource.read();
    if !case.wait('B', SOON, || next.try_lock())? {
        return case.done();
    }
    let next_read = case.resource.read();
    case.work(done)?;
    case.look(&mut next.connection, &["GET", KEY])?;
    case.resource.write(read);
    case.end('A');
    first.unlock(&mut case)?;
    case.resource.write(next_read);
    case.end('B');
    next.unlock(&mut case)?;
    case.done()
}
