//! [`Desk`]: one transaction, and what is to be done after it.

use leasehold_core::{ClaimId, Env, FencingToken, LockName, Moment, Result};
use rusqlite::{CachedStatement, Connection, params};

use crate::{
    refusal::of_sqlite,
    session::{Pulse, pulse},
    shared::Shared,
};

/// One transaction.
pub(crate) struct Desk<'d> {
    /// The database, inside of a transaction.
    pub(crate) connection: &'d Connection,
    /// This store; not yet there while it is being opened.
    shared: Option<&'d Shared>,
    /// The session of this store, if it has one yet.
    pub(crate) session: Option<u64>,
    /// When the transaction began.
    pub(crate) now: Moment,
    /// The same by the calendar.
    wall_us: u64,
    /// What is to be done once it is committed.
    pub(crate) calls: Calls,
}

/// What is to be done once a transaction is committed.
#[derive(Default, Debug)]
pub(crate) struct Calls {
    /// Claims of this store whose turn it is.
    pub(crate) turns: Vec<ClaimId>,
    /// Locks that this store watches and that have changed.
    pub(crate) changes: Vec<LockName>,
    /// Sessions that have ended and that no row refers to any more.
    pub(crate) buried: Vec<u64>,
    /// The sessions that were looked at, each once.
    looks: Vec<Looked>,
}

#[derive(Debug)]
struct Looked {
    session: u64,
    pulse: Pulse,
    touch: bool,
}

/// What a look at a session says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// It is ours.
    Own,
    /// Its process lives.
    Alive,
    /// Its process has ended.
    Dead,
    /// It cannot be told: only time can.
    Doubtful,
}

impl<'d> Desk<'d> {
    /// A desk in a transaction that has just begun.
    pub(crate) fn new(shared: &'d Shared, connection: &'d Connection) -> Self {
        Desk { shared: Some(shared), session: shared.session(), ..Desk::bare(connection, &shared.env) }
    }

    /// A desk without a store around it: nobody is looked at or called.
    pub(crate) fn bare(connection: &'d Connection, env: &Env) -> Self {
        let (now, wall_us) = (env.now(), env.wall_us());
        Desk { connection, shared: None, session: None, now, wall_us, calls: Calls::default() }
    }

    /// A statement of one of the files in `sql/`, compiled once.
    pub(crate) fn prepare(&self, sql: &'static str) -> Result<CachedStatement<'d>> {
        self.connection.prepare_cached(sql).map_err(of_sqlite)
    }

    /// When a moment is by the calendar, in microseconds since 1970.
    pub(crate) fn wall_us_of(&self, moment: Moment) -> i64 {
        let micros = |nanos: u64| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        let wall_us = i64::try_from(self.wall_us).unwrap_or(i64::MAX);
        wall_us.saturating_add(micros(moment.nanos())).saturating_sub(micros(self.now.nanos()))
    }

    /// When a moment of the calendar is on our clock; what is past is the start of the clock at the earliest.
    pub(crate) fn moment_of(&self, wall_us: i64) -> Moment {
        let here_us = i64::try_from(self.wall_us).unwrap_or(i64::MAX);
        let ahead_us = wall_us.saturating_sub(here_us);
        let span = std::time::Duration::from_micros(ahead_us.unsigned_abs());
        if ahead_us >= 0 { self.now + span } else { self.now - span }
    }

    /// The next fencing token. It never falls far below the calendar's microseconds, so tokens grow even when the file
    /// was deleted in between.
    pub(crate) fn draw_fence(&self, floor: Option<FencingToken>) -> Result<FencingToken> {
        let last = self.fence()?;
        let floor =
            floor.map_or(0, FencingToken::get).max(self.wall_us.saturating_sub(FencingToken::SLACK_US));
        let token = FencingToken::after(last, floor)?;
        self.raise_fence(token)?;
        Ok(token)
    }

    /// The highest fencing token of the file.
    pub(crate) fn fence(&self) -> Result<u64> {
        let mut statement = self.prepare(include_str!("../sql/fence.sql"))?;
        statement.query_row([], |row| row.get::<_, i64>(0)).map(|fence| fence as u64).map_err(of_sqlite)
    }

    /// Makes all later tokens higher than this one.
    pub(crate) fn raise_fence(&self, to: FencingToken) -> Result<()> {
        let mut statement = self.prepare(include_str!("../sql/raise_fence.sql"))?;
        statement.execute([to.get() as i64]).map(drop).map_err(of_sqlite)
    }

    /// Takes out a row.
    pub(crate) fn remove(&self, name: &LockName, seq: i64) -> Result<()> {
        let mut statement = self.prepare(include_str!("../sql/remove.sql"))?;
        statement.execute(params![name.as_str(), seq]).map(drop).map_err(of_sqlite)
    }

    /// Lets no further claim be made by this store.
    pub(crate) fn leave(&self) {
        if let Some(shared) = self.shared {
            shared.leave();
        }
    }

    /// Whether somebody in this process watches the lock for changes.
    pub(crate) fn watches(&self, name: &LockName) -> bool {
        self.shared.is_some_and(|shared| shared.bells.watches(name))
    }

    /// Whether the process of a session lives; asked of the kernel once in a transaction. With `listen`, its end will
    /// be heard of: that is arranged before the look, so that an end in between is seen by one or the other.
    pub(crate) fn look(&mut self, session: u64, listen: bool) -> Look {
        if Some(session) == self.session {
            return Look::Own;
        }
        let Some(shared) = self.shared else { return Look::Doubtful };
        if listen {
            shared.listen(session);
        }
        let looks = &mut self.calls.looks;
        let at = looks.iter().position(|looked| looked.session == session).unwrap_or_else(|| {
            looks.push(Looked { session, pulse: pulse(&shared.place, session), touch: false });
            looks.len() - 1
        });
        match looks[at].pulse {
            Pulse::Alive => Look::Alive,
            Pulse::Dead { .. } => Look::Dead,
            Pulse::Missing | Pulse::Unknown => Look::Doubtful,
        }
    }
}

impl Calls {
    /// Wakes a session that was looked at.
    pub(crate) fn touch(&mut self, session: u64) {
        for looked in self.looks.iter_mut().filter(|looked| looked.session == session) {
            looked.touch = true;
        }
    }

    /// The sessions to wake.
    pub(crate) fn touched(&self) -> impl Iterator<Item = u64> {
        self.looks.iter().filter(|looked| looked.touch).map(|looked| looked.session)
    }

    /// The sessions found dead.
    pub(crate) fn dead(&self) -> impl Iterator<Item = u64> {
        self.looks
            .iter()
            .filter(|looked| matches!(looked.pulse, Pulse::Dead { .. }))
            .map(|looked| looked.session)
    }
}
