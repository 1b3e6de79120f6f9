//! [`Row`]: a row of `claims`, read and written.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    ClaimId, Error, ErrorKind, FencingToken, Mode, Moment, Queueing, Result,
    decide::lock_state::{Entry, State},
};
use rusqlite::{CachedStatement, params};

use crate::refusal::of_sqlite;

/// A row of `claims`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Row {
    /// One that holds, waits or delays.
    Claim(ClaimRow),
    /// A session that wants to be told of changes.
    Watcher(Watcher),
}

/// A claim with what the state machine need not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClaimRow {
    /// What the state machine knows.
    pub(crate) entry: Entry,
    /// When it ends by the calendar, in microseconds since 1970.
    pub(crate) expires_wall_us: i64,
    /// Which session to wake, while it waits.
    pub(crate) waker: Option<u64>,
}

/// A session that wants to be told of changes of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Watcher {
    /// Its key: negative, made of the session.
    pub(crate) seq: i64,
    /// Whom to wake.
    pub(crate) session: u64,
}

impl Watcher {
    /// The watcher of a session.
    pub(crate) fn of(session: u64) -> Watcher {
        // All negative numbers but the lowest: two sessions collide with probability 2^-63, and then share wake-ups.
        Watcher { seq: -1 - (session >> 1) as i64, session }
    }
}

const WATCHER: i64 = 4;

const STATES: [State; 4] = [State::Waiting, State::Held, State::Delaying, State::Revoked];
const QUEUEINGS: [Queueing; 3] = [Queueing::No, Queueing::Barging, Queueing::Fifo];

impl Row {
    /// Reads the columns that rows.sql and list.sql name.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Row> {
        let state: i64 = row.get(3).map_err(of_sqlite)?;
        if state == WATCHER {
            let session = row.get::<_, i64>(13).map_err(of_sqlite)? as u64;
            return Ok(Row::Watcher(Watcher { seq: row.get(1).map_err(of_sqlite)?, session }));
        }
        let waker = row.get::<_, Option<i64>>(13).map_err(of_sqlite)?.map(|number| number as u64);
        let expires_wall_us = row.get(9).map_err(of_sqlite)?;
        Ok(Row::Claim(ClaimRow { entry: entry(row, state)?, expires_wall_us, waker }))
    }
}

fn entry(row: &rusqlite::Row<'_>, state: i64) -> Result<Entry> {
    let number = |column: usize| row.get::<_, i64>(column).map_err(of_sqlite);
    let mode = match number(4)? {
        0 => Mode::Exclusive,
        1 => Mode::Shared,
        2 => Mode::Permits { take: small(number(5)?)?, of: small(number(6)?)? },
        _ => return Err(strange("mode")),
    };
    Ok(Entry {
        seq: number(1)? as u64,
        id: ClaimId::from_bits(u128::from_be_bytes(row.get(2).map_err(of_sqlite)?)),
        state: *pick(&STATES, state).ok_or_else(|| strange("state"))?,
        mode,
        queueing: *pick(&QUEUEINGS, number(7)?).ok_or_else(|| strange("queueing"))?,
        expires: Moment::from_nanos(number(8)? as u64),
        since: Moment::from_nanos(number(10)? as u64),
        lock_delay: Duration::from_nanos(number(11)? as u64),
        session: row.get::<_, Option<i64>>(12).map_err(of_sqlite)?.map(|session| session as u64),
        fence: match row.get::<_, Option<i64>>(15).map_err(of_sqlite)? {
            Some(fence) => Some(FencingToken::new(fence as u64)?),
            None => None,
        },
        note: row.get::<_, Option<Arc<str>>>(16).map_err(of_sqlite)?,
    })
}

impl ClaimRow {
    /// Writes it by put.sql, with nobody's word left for it.
    pub(crate) fn write(&self, name: &str, put: &mut CachedStatement<'_>) -> Result<()> {
        let entry = &self.entry;
        let (mode, take, places) = match entry.mode {
            Mode::Exclusive => (0, 0, 0),
            Mode::Shared => (1, 0, 0),
            Mode::Permits { take, of } => (2, i64::from(take), i64::from(of)),
            _ => return Err(Error::new(ErrorKind::Unsupported, "sqlite does not know this mode")),
        };
        let written = put.execute(params![
            name,
            entry.seq as i64,
            entry.id.bits().to_be_bytes(),
            place_of(&STATES, &entry.state),
            mode,
            take,
            places,
            place_of(&QUEUEINGS, &entry.queueing),
            nanos(entry.expires),
            self.expires_wall_us,
            nanos(entry.since),
            i64::try_from(entry.lock_delay.as_nanos()).unwrap_or(i64::MAX),
            entry.session.map(|session| session as i64),
            self.waker.map(|session| session as i64),
            0,
            entry.fence.map(|fence| fence.get() as i64),
            entry.note.as_deref(),
        ]);
        written.map(drop).map_err(of_sqlite)
    }
}

/// SQLite's integers have a sign; three centuries after boot they end.
fn nanos(moment: Moment) -> i64 {
    i64::try_from(moment.nanos()).unwrap_or(i64::MAX)
}

fn small(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| strange("number of permits"))
}

fn pick<T>(all: &[T], index: i64) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| all.get(index))
}

fn place_of<T: PartialEq>(all: &[T], one: &T) -> i64 {
    all.iter().position(|other| other == one).map_or(-1, |index| index as i64)
}

fn strange(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a claim in the database has an unknown {what}"))
        .hint("a newer version may have written it: use that version")
}
