//! [`Txn`]: one transaction, and the wake-ups and cleanup due after its commit.

use std::os::fd::OwnedFd;

use leasehold_core::{Env, ErrorKind, FencingToken, LockName, Moment, Result, store_kit::Topic};
use rusqlite::{CachedStatement, Connection, Params, params};

use crate::{
    connection::{ensure_not_moved, move_log},
    error::{from_sqlite, is_busy, may_have_committed},
    session::{Liveness, Sessions},
};

/// One transaction; rolled back on drop unless it was committed.
pub(crate) struct Txn<'t> {
    connection: &'t Connection,
    sessions: &'t Sessions,
    /// The session of this store, if it has one yet.
    pub(crate) session: Option<u64>,
    /// The start of the transaction.
    pub(crate) now: Moment,
    /// The same on the wall clock.
    wall_us: u64,
    pub(crate) after: AfterCommit,
}

/// The work due after a commit.
#[derive(Default, Debug)]
pub(crate) struct AfterCommit {
    /// The subscriptions of this store to wake: claims that may be granted now, and watched locks that have changed.
    pub(crate) topics: Vec<Topic>,
    /// Dead sessions to which no row refers any more.
    pub(crate) reaped: Vec<u64>,
    /// The sessions that were checked, each once.
    checked: Vec<CheckedSession>,
}

#[derive(Debug)]
struct CheckedSession {
    number: u64,
    liveness: Liveness,
    /// Keeps a dead session's file locked until the work is done.
    _lock: Option<OwnedFd>,
    notify: bool,
}

pub(crate) const WRITE: &str = "BEGIN IMMEDIATE";
pub(crate) const READ: &str = "BEGIN";

impl<'t> Txn<'t> {
    /// Runs `work` in a write transaction, under the write lock; `None` when another program, which does not use the write
    /// lock, is writing. On a full disk it is tried again after the log was moved: a log that starts anew needs no room,
    /// so holds can still be released.
    pub(crate) fn run<T>(
        connection: &Connection,
        sessions: &Sessions,
        env: &Env,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Option<Result<(T, AfterCommit)>> {
        let mut once = || {
            let mut txn = match Txn::begin(WRITE, connection, sessions, env) {
                Ok(txn) => txn,
                Err(source) if is_busy(&source) => return None,
                Err(source) => return Some(Err(from_sqlite(source))),
            };
            let answer = ensure_not_moved(connection).and_then(|()| work(&mut txn));
            Some(answer.and_then(|answer| Ok((answer, txn.commit()?))))
        };
        match once()? {
            Err(error) if error.kind() == ErrorKind::Exhausted && move_log(connection).is_ok() => once(),
            answer => Some(answer),
        }
    }

    /// Begins a transaction. A writer holds the write lock, so only another program can make SQLite busy.
    pub(crate) fn begin(
        statement: &str,
        connection: &'t Connection,
        sessions: &'t Sessions,
        env: &Env,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached(statement)?.execute([])?;
        let (session, now, wall_us) = (sessions.own(), env.now(), env.wall_us());
        Ok(Txn { connection, sessions, session, now, wall_us, after: AfterCommit::default() })
    }

    /// Commits, and answers the work that is due now.
    pub(crate) fn commit(mut self) -> Result<AfterCommit> {
        match self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            Ok(_) => Ok(std::mem::take(&mut self.after)),
            Err(source) if may_have_committed(&source) => Err(from_sqlite(source).unknown()),
            Err(source) => Err(from_sqlite(source)),
        }
    }

    /// Prepares a statement of one of the files in `sql/`; it is compiled once per connection.
    pub(crate) fn prepare(&self, sql: &'static str) -> Result<CachedStatement<'t>> {
        self.connection.prepare_cached(sql).map_err(from_sqlite)
    }

    pub(crate) fn execute(&self, sql: &'static str, parameters: impl Params) -> Result<()> {
        self.prepare(sql)?.execute(parameters).map(drop).map_err(from_sqlite)
    }

    /// Converts a moment to the wall clock, in microseconds since 1970.
    pub(crate) fn wall_us_of(&self, moment: Moment) -> i64 {
        let micros = |nanos: u64| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        let wall_us = i64::try_from(self.wall_us).unwrap_or(i64::MAX);
        wall_us.saturating_add(micros(moment.nanos())).saturating_sub(micros(self.now.nanos()))
    }

    /// Converts a time of the wall clock to a moment; no earlier than the start of our clock.
    pub(crate) fn moment_of(&self, wall_us: i64) -> Moment {
        let here_us = i64::try_from(self.wall_us).unwrap_or(i64::MAX);
        let ahead_us = wall_us.saturating_sub(here_us);
        let span = std::time::Duration::from_micros(ahead_us.unsigned_abs());
        if ahead_us >= 0 { self.now + span } else { self.now - span }
    }

    /// The highest fencing token of the file.
    pub(crate) fn last_token(&self) -> Result<u64> {
        let mut statement = self.prepare(include_str!("../sql/fence.sql"))?;
        statement.query_row([], |row| row.get::<_, i64>(0)).map(|token| token as u64).map_err(from_sqlite)
    }

    /// Draws the next fencing token. It never falls far below the wall clock's microseconds, so tokens grow even when
    /// the file was deleted in between.
    pub(crate) fn next_token(&self, floor: Option<FencingToken>) -> Result<FencingToken> {
        let floor =
            floor.map_or(0, FencingToken::get).max(self.wall_us.saturating_sub(FencingToken::SLACK_US));
        let token = FencingToken::after(self.last_token()?, floor)?;
        self.raise_token(token)?;
        Ok(token)
    }

    /// Raises the counter so that all later tokens are higher than this one.
    pub(crate) fn raise_token(&self, to: FencingToken) -> Result<()> {
        self.execute(include_str!("../sql/raise_fence.sql"), [to.get() as i64])
    }

    /// Reads the first column of a query that answers lock names.
    pub(crate) fn lock_names(&self, sql: &'static str, parameters: &[i64]) -> Result<Vec<LockName>> {
        let mut statement = self.prepare(sql)?;
        let parameters = rusqlite::params_from_iter(parameters);
        let names = statement.query_map(parameters, |row| row.get::<_, String>(0)).map_err(from_sqlite)?;
        names.map(|name| LockName::new(name.map_err(from_sqlite)?)).collect()
    }

    pub(crate) fn delete(&self, name: &LockName, seq: i64) -> Result<()> {
        self.execute(include_str!("../sql/remove.sql"), params![name.as_str(), seq])
    }

    /// Ends claiming by this store, and answers its session.
    pub(crate) fn retire_session(&self) -> Option<u64> {
        self.sessions.retire()
    }

    /// Checks a session, once per transaction. With `watch`, its end will be reported; that is set up before the check,
    /// so an end in between is seen by one or the other.
    pub(crate) fn liveness(&mut self, number: u64, watch: bool) -> Liveness {
        if Some(number) == self.session {
            return Liveness::Own;
        }
        if watch {
            self.sessions.watch_end(number);
        }
        let checked = &mut self.after.checked;
        if let Some(known) = checked.iter().find(|session| session.number == number) {
            return known.liveness;
        }
        let (liveness, _lock) = self.sessions.check(number);
        checked.push(CheckedSession { number, liveness, _lock, notify: false });
        liveness
    }

    /// Whether a session file was missing: mostly because its rows were deleted since this transaction began, so that a
    /// new one will not see them.
    pub(crate) fn is_stale(&self) -> bool {
        self.after.checked.iter().any(|session| session.liveness == Liveness::Missing)
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl AfterCommit {
    /// Wakes a session that was checked.
    pub(crate) fn notify(&mut self, number: u64) {
        for session in self.checked.iter_mut().filter(|session| session.number == number) {
            session.notify = true;
        }
    }

    pub(crate) fn to_notify(&self) -> impl Iterator<Item = u64> {
        self.checked.iter().filter(|session| session.notify).map(|session| session.number)
    }

    /// The sessions found dead whose rows are still there.
    pub(crate) fn to_reap(&self) -> Vec<u64> {
        let dead = self.checked.iter().filter(|session| session.liveness == Liveness::Dead);
        dead.map(|session| session.number).filter(|number| !self.reaped.contains(number)).collect()
    }
}
