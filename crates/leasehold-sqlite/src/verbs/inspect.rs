//! [`View`]: locks as they are now, read without writing.

use leasehold_core::{FencingToken, LockName, Moment, Result, Snapshot, store_kit::Topic};
use rusqlite::Connection;

use crate::{
    error::from_sqlite,
    format::Row,
    lock_record::LockRecord,
    session::{ProcessState, Sessions},
    waiters::Waiters,
};

/// Locks as they are now, read without writing: dead sessions are left out, though their rows are there.
pub(crate) struct View<'v> {
    /// The database, inside a transaction.
    pub(super) connection: &'v Connection,
    sessions: &'v Sessions,
    waiters: &'v Waiters,
    now: Moment,
    /// The sessions that were checked, and whether each is dead.
    checked: Vec<(u64, bool)>,
    /// Whether a session file was missing: mostly because its rows were deleted since this transaction began, so that a
    /// new view will not have them.
    pub(crate) is_stale: bool,
}

impl<'v> View<'v> {
    /// A view of a read transaction.
    pub(crate) fn new(
        connection: &'v Connection,
        sessions: &'v Sessions,
        waiters: &'v Waiters,
        now: Moment,
    ) -> View<'v> {
        View { connection, sessions, waiters, now, checked: Vec::new(), is_stale: false }
    }

    /// One lock.
    pub(crate) fn inspect(&mut self, name: &LockName) -> Result<Snapshot> {
        let fence = self.fence()?;
        let rows = Row::read_all(self.connection, name)?;
        Ok(self.snapshot(name.clone(), rows, fence))
    }

    /// The highest token of the file.
    pub(super) fn fence(&self) -> Result<Option<FencingToken>> {
        let mut statement =
            self.connection.prepare_cached(include_str!("../../sql/fence.sql")).map_err(from_sqlite)?;
        let fence: i64 = statement.query_row([], |row| row.get(0)).map_err(from_sqlite)?;
        Ok(FencingToken::new(fence as u64).ok().filter(|fence| fence.get() > 0))
    }

    /// The state of a lock with these rows. If this process watches the lock, the ends of its sessions will be reported:
    /// a watcher looks again after each change, and so learns of the end of every holder.
    pub(super) fn snapshot(
        &mut self,
        name: LockName,
        rows: Vec<Row>,
        fence: Option<FencingToken>,
    ) -> Snapshot {
        let mut record = LockRecord::new(name.clone(), rows);
        record.state.expire(self.now);
        let own = self.sessions.own();
        let watched = self.waiters.has(&Topic::Changes(name.clone()));
        for session in record.sessions().into_iter().filter(|&session| Some(session) != own) {
            if watched {
                self.sessions.watch_end(session);
            }
            if self.is_dead(session) {
                record.end_session(session, self.now);
            }
        }
        let (holders, waiters) = record.state.contenders(self.now);
        Snapshot { name, holders, waiters, fence, members: Vec::new() }
    }

    fn is_dead(&mut self, session: u64) -> bool {
        let known = self.checked.iter().find(|(of, _)| *of == session).map(|(_, dead)| *dead);
        known.unwrap_or_else(|| {
            let state = self.sessions.state(session);
            self.is_stale |= matches!(state, ProcessState::Missing);
            let dead = matches!(state, ProcessState::Dead { .. });
            self.checked.push((session, dead));
            dead
        })
    }
}
