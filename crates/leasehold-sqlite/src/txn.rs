//! [`Txn`]: one transaction, and the wake-ups and cleanup due after its commit.

use std::os::fd::OwnedFd;

use leasehold_core::{Env, Error, ErrorKind, FencingToken, LockName, Moment, Result, store_kit::Topic};
use rusqlite::{CachedStatement, Connection, FileControl, Params, params};

use crate::{
    error::{from_sqlite, may_have_committed},
    session::{Liveness, Sessions},
};

/// One transaction; rolled back on drop unless it was committed.
pub(crate) struct Txn<'t> {
    connection: &'t Connection,
    pub(crate) sessions: &'t Sessions,
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
    pub(crate) checked: Vec<CheckedSession>,
}

#[derive(Debug)]
pub(crate) struct CheckedSession {
    pub(crate) number: u64,
    pub(crate) liveness: Liveness,
    /// Keeps a dead session's file locked until the work is done.
    _lock: Option<OwnedFd>,
    pub(crate) notify: bool,
}

/// Begins a transaction that writes. The caller has the write lock, so only another program can make SQLite busy.
pub(crate) const WRITE: &str = "BEGIN IMMEDIATE";
/// Begins a transaction that reads, without the write lock.
pub(crate) const READ: &str = "BEGIN";

impl<'t> Txn<'t> {
    /// Runs `work` in a transaction, again when it failed on a full disk and the log was moved: a log that starts anew
    /// needs no room, so holds can still be released.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when SQLite is busy: another program is writing, or the log is recovered after a crash.
    pub(crate) fn run<T>(
        begin: &str,
        connection: &'t Connection,
        sessions: &'t Sessions,
        env: &Env,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Result<(T, AfterCommit)> {
        let mut once = || {
            connection.prepare_cached(begin).and_then(|mut begin| begin.execute([])).map_err(from_sqlite)?;
            let (session, now, wall_us) = (sessions.own(), env.now(), env.wall_us());
            let mut txn = Txn { connection, sessions, session, now, wall_us, after: AfterCommit::default() };
            if has_moved(connection)? {
                return Err(moved());
            }
            let answer = work(&mut txn)?;
            match connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
                Ok(_) => Ok((answer, std::mem::take(&mut txn.after))),
                Err(source) if may_have_committed(&source) => Err(from_sqlite(source).unknown()),
                Err(source) => Err(from_sqlite(source)),
            }
        };
        match once() {
            Err(error) if error.kind() == ErrorKind::Exhausted && move_log(connection).is_ok() => once(),
            answer => answer,
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
    pub(crate) fn lock_names(&self, sql: &'static str, parameters: impl Params) -> Result<Vec<LockName>> {
        let mut statement = self.prepare(sql)?;
        let names = statement.query_map(parameters, |row| row.get::<_, String>(0)).map_err(from_sqlite)?;
        names.map(|name| LockName::new(name.map_err(from_sqlite)?)).collect()
    }

    pub(crate) fn delete(&self, name: &LockName, seq: i64) -> Result<()> {
        self.execute(include_str!("../sql/remove.sql"), params![name.as_str(), seq])
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

/// Whether the path of the database names another file now, or none: a store that is opened there would not see what
/// is locked here.
pub(crate) fn has_moved(connection: &Connection) -> Result<bool> {
    let mut moved = 0;
    connection.file_control(None::<&str>, FileControl::HasMoved(&mut moved)).map_err(from_sqlite)?;
    Ok(moved != 0)
}

fn moved() -> Error {
    Error::new(ErrorKind::Corrupt, "the database was deleted or replaced while it was open")
        .hint("what was held in it is lost: stop the protected work and open the store again")
}

/// Moves as much of the log into the database as is possible without a wait; answers the pages of the log.
pub(crate) fn move_log(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).map_err(from_sqlite)
}
