//! [`Txn`]: one write transaction, and the wake-ups and cleanup due after its commit.

use leasehold_core::{Env, Error, ErrorKind, FencingToken, LockName, Moment, Result, store_kit::Topic};
use rusqlite::{CachedStatement, Connection, FileControl, params};

use crate::{
    error::{from_sqlite, is_busy, may_have_committed},
    format::Row,
    session::{ProcessState, Sessions},
};

/// One write transaction; rolled back on drop unless it was committed.
pub(crate) struct Txn<'t> {
    connection: &'t Connection,
    sessions: &'t Sessions,
    /// The session of this store, if it has one yet.
    pub(crate) session: Option<u64>,
    /// The start of the transaction.
    pub(crate) now: Moment,
    /// The same on the wall clock.
    wall_us: u64,
    /// The work due after the commit.
    pub(crate) after: AfterCommit,
}

/// The work due after a commit.
#[derive(Default, Debug)]
pub(crate) struct AfterCommit {
    /// The subscriptions of this store to wake: claims that may be granted now, and watched locks that have changed.
    pub(crate) topics: Vec<Topic>,
    /// Dead sessions to which no row refers any more.
    pub(crate) reaped: Vec<u64>,
    /// The sessions that were checked, each once. The locks on dead ones are kept until the work is done.
    checked: Vec<CheckedSession>,
}

#[derive(Debug)]
struct CheckedSession {
    number: u64,
    state: ProcessState,
    notify: bool,
}

/// The liveness of a session, as a transaction sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionLiveness {
    /// It is this store's own.
    Own,
    /// Its process lives.
    Alive,
    /// Its process has ended.
    Dead,
    /// Unknown; only the time to live decides.
    Unknown,
}

impl<'t> Txn<'t> {
    /// Runs `work` in a transaction, under the write lock; `None` when another program, which does not use the write
    /// lock, is writing. On a full disk it is tried again after the log was moved: a log that starts anew needs no room,
    /// so holds can still be released.
    pub(crate) fn run<T>(
        connection: &Connection,
        sessions: &Sessions,
        env: &Env,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Option<Result<(T, AfterCommit)>> {
        let mut once = || {
            let mut txn = match Txn::begin(connection, sessions, env) {
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

    /// Begins a transaction. The caller holds the write lock, so only another program can make SQLite busy.
    pub(crate) fn begin(
        connection: &'t Connection,
        sessions: &'t Sessions,
        env: &Env,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
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

    /// Draws the next fencing token. It never falls far below the wall clock's microseconds, so tokens grow even when
    /// the file was deleted in between.
    pub(crate) fn next_token(&self, floor: Option<FencingToken>) -> Result<FencingToken> {
        let mut statement = self.prepare(include_str!("../sql/fence.sql"))?;
        let last = statement.query_row([], |row| row.get::<_, i64>(0)).map_err(from_sqlite)?;
        let floor =
            floor.map_or(0, FencingToken::get).max(self.wall_us.saturating_sub(FencingToken::SLACK_US));
        let token = FencingToken::after(last as u64, floor)?;
        self.raise_token(token)?;
        Ok(token)
    }

    /// Raises the counter so that all later tokens are higher than this one.
    pub(crate) fn raise_token(&self, to: FencingToken) -> Result<()> {
        let mut statement = self.prepare(include_str!("../sql/raise_fence.sql"))?;
        statement.execute([to.get() as i64]).map(drop).map_err(from_sqlite)
    }

    /// Reads the first column of a query that answers lock names.
    pub(crate) fn lock_names(&self, sql: &'static str, parameters: &[i64]) -> Result<Vec<LockName>> {
        let mut statement = self.prepare(sql)?;
        let parameters = rusqlite::params_from_iter(parameters);
        let names = statement.query_map(parameters, |row| row.get::<_, String>(0)).map_err(from_sqlite)?;
        names.map(|name| LockName::new(name.map_err(from_sqlite)?)).collect()
    }

    /// Reads the rows of one lock.
    pub(crate) fn rows(&self, name: &LockName) -> Result<Vec<Row>> {
        Row::read_all(self.connection, name)
    }

    /// Deletes a row.
    pub(crate) fn delete(&self, name: &LockName, seq: i64) -> Result<()> {
        let mut statement = self.prepare(include_str!("../sql/remove.sql"))?;
        statement.execute(params![name.as_str(), seq]).map(drop).map_err(from_sqlite)
    }

    /// Ends claiming by this store, and answers its session.
    pub(crate) fn retire_session(&self) -> Option<u64> {
        self.sessions.retire()
    }

    /// Checks a session, once per transaction. With `watch`, its end will be reported; that is set up before the check,
    /// so an end in between is seen by one or the other.
    pub(crate) fn liveness(&mut self, number: u64, watch: bool) -> SessionLiveness {
        if Some(number) == self.session {
            return SessionLiveness::Own;
        }
        if watch {
            self.sessions.watch_end(number);
        }
        let checked = &mut self.after.checked;
        let at = checked.iter().position(|session| session.number == number).unwrap_or_else(|| {
            checked.push(CheckedSession { number, state: self.sessions.state(number), notify: false });
            checked.len() - 1
        });
        match checked[at].state {
            ProcessState::Alive => SessionLiveness::Alive,
            ProcessState::Dead { .. } => SessionLiveness::Dead,
            ProcessState::Missing | ProcessState::Unknown => SessionLiveness::Unknown,
        }
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

    /// The sessions to wake.
    pub(crate) fn to_notify(&self) -> impl Iterator<Item = u64> {
        self.checked.iter().filter(|session| session.notify).map(|session| session.number)
    }

    /// The sessions found dead whose rows are still there.
    pub(crate) fn to_reap(&self) -> Vec<u64> {
        let dead = self.checked.iter().filter(|session| matches!(session.state, ProcessState::Dead { .. }));
        dead.map(|session| session.number).filter(|number| !self.reaped.contains(number)).collect()
    }
}

/// Refuses to lock in a file that others cannot find: a store that is opened at the path now would use another one.
pub(crate) fn ensure_not_moved(connection: &Connection) -> Result<()> {
    if !has_moved(connection)? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, "the database was deleted or replaced while it was open")
        .hint("what was held in it is lost: stop the protected work and open the store again"))
}

/// Whether the path of the database names another file now, or none.
pub(crate) fn has_moved(connection: &Connection) -> Result<bool> {
    let mut moved = 0;
    connection.file_control(None::<&str>, FileControl::HasMoved(&mut moved)).map_err(from_sqlite)?;
    Ok(moved != 0)
}

/// Moves as much of the log into the database as is possible without a wait; answers the pages of the log.
pub(crate) fn move_log(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).map_err(from_sqlite)
}
