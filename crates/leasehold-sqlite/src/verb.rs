//! What each verb does in its transaction.

use leasehold_core::{
    Claim, Contender, FencingToken, Interest, LockName, Release, Renewal, Result, Snapshot, Standing,
};
use rusqlite::{Connection, params};

use crate::{
    desk::Desk,
    place::Place,
    refusal::{self, of_sqlite},
    row::{Row, Watcher},
    session::{Pulse, pulse},
    shared::Shared,
    sheet::Sheet,
};

/// Answers a claim. When it is kept out by the dead, they are buried and it is asked again.
pub(crate) fn claim(desk: &mut Desk<'_>, claim: &Claim) -> Result<Standing> {
    if desk.session.is_none() {
        // Closed since the claim was sent.
        return Err(refusal::closed());
    }
    let mut sheet = Sheet::read(desk, &claim.name)?;
    let standing = loop {
        let draw = |floor| desk.draw_fence(floor).map(Some);
        let standing = sheet.document.claim(claim, desk.session, desk.now, draw)?;
        let waits = matches!(standing, Standing::Waiting(_));
        let refused = waits || matches!(standing, Standing::Held(_) | Standing::Mismatch { .. });
        let listen = waits || desk.watches(&claim.name);
        if !refused || !sheet.bury_dead_blockers(desk, claim.id, listen) {
            break standing;
        }
    };
    if let (Standing::Granted(grant), Some(_)) = (&standing, claim.fence_floor)
        && let Some(fence) = grant.fence
    {
        desk.raise_fence(fence)?;
    }
    sheet.save(desk, Some(claim.id))?;
    Ok(standing)
}

/// Prolongs a hold.
pub(crate) fn renew(desk: &mut Desk<'_>, claim: &Claim) -> Result<Renewal> {
    let mut sheet = Sheet::read(desk, &claim.name)?;
    let renewal = sheet.document.renew(claim, desk.now);
    sheet.save(desk, Some(claim.id))?;
    Ok(renewal)
}

/// Ends a hold or a wait.
pub(crate) fn release(desk: &mut Desk<'_>, claim: &Claim) -> Result<Release> {
    let mut sheet = Sheet::read(desk, &claim.name)?;
    let release = sheet.document.release(claim.id, desk.now);
    sheet.save(desk, Some(claim.id))?;
    Ok(release)
}

/// Ends every hold of a lock.
pub(crate) fn force_release(desk: &mut Desk<'_>, name: &LockName) -> Result<Vec<Contender>> {
    let mut sheet = Sheet::read(desk, name)?;
    let evicted = sheet.document.force_release(desk.now);
    desk.draw_fence(None)?;
    sheet.save(desk, None)?;
    Ok(evicted)
}

/// Ends everything that lives by the session of a dead process.
pub(crate) fn bury(desk: &mut Desk<'_>, session: u64) -> Result<()> {
    // Looked at again, because the file may have come to life between the first look and now: it was being made.
    if desk.look(session, false) == crate::desk::Look::Dead {
        end(desk, session)?;
        desk.calls.buried.push(session);
    }
    Ok(())
}

/// Ends everything that lives by our own session.
pub(crate) fn leave(desk: &mut Desk<'_>, session: u64) -> Result<()> {
    desk.leave();
    end(desk, session)
}

fn end(desk: &mut Desk<'_>, session: u64) -> Result<()> {
    let names = {
        let mut statement = desk.prepare(include_str!("../sql/names_of_session.sql"))?;
        let names =
            statement.query_map([session as i64], |row| row.get::<_, String>(0)).map_err(of_sqlite)?;
        names.collect::<rusqlite::Result<Vec<_>>>().map_err(of_sqlite)?
    };
    for name in names {
        let name = LockName::new(name)?;
        desk.remove(&name, Watcher::of(session).seq)?;
        let mut sheet = Sheet::read(desk, &name)?;
        sheet.bury(session, desk.now);
        sheet.save(desk, None)?;
    }
    Ok(())
}

/// Asks to be told of changes of a lock.
pub(crate) fn watch(desk: &mut Desk<'_>, name: &LockName, interest: Interest) -> Result<()> {
    let (Interest::Changes, Some(session)) = (interest, desk.session) else { return Ok(()) };
    let mut statement = desk.prepare(include_str!("../sql/watch.sql"))?;
    let watcher = Watcher::of(session);
    let written = statement.execute(params![name.as_str(), watcher.seq, watcher.session as i64]);
    written.map(drop).map_err(of_sqlite)
}

/// Does not want to be told any more.
pub(crate) fn unwatch(desk: &mut Desk<'_>, name: &LockName) -> Result<()> {
    match desk.session {
        Some(session) => desk.remove(name, Watcher::of(session).seq),
        None => Ok(()),
    }
}

/// What it takes to show locks as they are now, without writing: the dead are not shown, though their rows are there.
pub(crate) struct View<'v> {
    /// The database, inside of a transaction.
    pub(crate) connection: &'v Connection,
    /// Where sessions are.
    pub(crate) place: &'v Place,
    /// Our own, which need not be looked at.
    pub(crate) session: Option<u64>,
    /// Now.
    pub(crate) now: leasehold_core::Moment,
    /// The store, which hears of the end of sessions on locks that it watches.
    pub(crate) shared: &'v Shared,
    /// What was found of the sessions that were looked at.
    pub(crate) looks: Vec<(u64, bool)>,
    /// A session file was not there. Mostly because somebody buried it since this view was taken, so that a new view
    /// will not have its rows.
    pub(crate) is_stale: bool,
}

impl View<'_> {
    /// One lock.
    pub(crate) fn inspect(&mut self, name: &LockName) -> Result<Snapshot> {
        let fence = self.fence()?;
        let connection = self.connection;
        let mut statement = connection.prepare_cached(include_str!("../sql/rows.sql")).map_err(of_sqlite)?;
        let mut rows = statement.query([name.as_str()]).map_err(of_sqlite)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(of_sqlite)? {
            all.push(Row::read(row)?);
        }
        Ok(self.snapshot(name.clone(), all, fence))
    }

    /// The locks in use whose names begin with `prefix`.
    pub(crate) fn list(&mut self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let fence = self.fence()?;
        let connection = self.connection;
        let mut statement = connection.prepare_cached(include_str!("../sql/list.sql")).map_err(of_sqlite)?;
        let mut rows = statement.query([prefix]).map_err(of_sqlite)?;
        let (mut found, mut open) = (Vec::new(), None::<(String, Vec<Row>)>);
        while found.len() < limit {
            let row = rows.next().map_err(of_sqlite)?;
            let name = row.map(|row| row.get::<_, String>(0).map_err(of_sqlite)).transpose()?;
            let name = name.filter(|name| name.starts_with(prefix));
            if let Some((done, rows)) = open.take_if(|(of, _)| Some(&*of) != name.as_ref()) {
                let snapshot = self.snapshot(LockName::new(done)?, rows, fence);
                if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                    found.push(snapshot);
                }
            }
            let (Some(row), Some(name)) = (row, name) else { break };
            open.get_or_insert_with(|| (name, Vec::new())).1.push(Row::read(row)?);
        }
        Ok(found)
    }

    fn fence(&self) -> Result<Option<FencingToken>> {
        let mut statement =
            self.connection.prepare_cached(include_str!("../sql/fence.sql")).map_err(of_sqlite)?;
        let fence: i64 = statement.query_row([], |row| row.get(0)).map_err(of_sqlite)?;
        Ok(FencingToken::new(fence as u64).ok().filter(|fence| fence.get() > 0))
    }

    fn snapshot(&mut self, name: LockName, rows: Vec<Row>, fence: Option<FencingToken>) -> Snapshot {
        let mut sheet = Sheet::of(name.clone(), rows);
        sheet.document.expire(self.now);
        for session in sheet.sessions() {
            self.shared.listen_if_watched(&name, session);
            if self.is_dead(session) {
                sheet.bury(session, self.now);
            }
        }
        let (holders, waiters) = sheet.document.contenders(self.now);
        Snapshot { name, holders, waiters, fence, members: Vec::new() }
    }

    fn is_dead(&mut self, session: u64) -> bool {
        if Some(session) == self.session {
            return false;
        }
        let known = self.looks.iter().find(|(of, _)| *of == session).map(|(_, dead)| *dead);
        known.unwrap_or_else(|| {
            let pulse = pulse(self.place, session);
            self.is_stale |= matches!(pulse, Pulse::Missing);
            let dead = matches!(pulse, Pulse::Dead { .. });
            self.looks.push((session, dead));
            dead
        })
    }
}
