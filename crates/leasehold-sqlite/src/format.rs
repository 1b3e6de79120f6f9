//! [`Row`]: the rows of the table `claims`, read and written.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Error, ErrorKind, FencingToken, LockName, Mode, Moment, Queueing, Result,
    decide::lock_state::{Entry, State},
};
use rusqlite::params;

use crate::{error::from_sqlite, txn::Txn};

/// A row of `claims`.
pub(crate) enum Row {
    /// A claim that holds, waits or delays.
    Claim(ClaimRow),
    /// The session that is subscribed to changes of the lock.
    Watch(u64),
}

/// A claim, with the columns that the state machine does not use.
#[derive(Debug)]
pub(crate) struct ClaimRow {
    pub(crate) entry: Entry,
    /// The end by the wall clock, in microseconds since 1970.
    pub(crate) expires_wall_us: i64,
    /// The session to wake, while the claim waits.
    pub(crate) waker: Option<u64>,
}

/// The key of the row by which a session is subscribed to a lock: all negative numbers but the lowest. Two sessions
/// collide with probability 2^-63, and then share wake-ups.
pub(crate) fn watch_seq(session: u64) -> i64 {
    -1 - (session >> 1) as i64
}

const WATCH: i64 = 4;

const STATES: [State; 4] = [State::Waiting, State::Held, State::Delaying, State::Revoked];
const QUEUEINGS: [Queueing; 3] = [Queueing::No, Queueing::Barging, Queueing::Fifo];

impl Row {
    /// Reads the columns that rows.sql names.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Row> {
        let number = |column: usize| row.get::<_, i64>(column).map_err(from_sqlite);
        let state = number(3)?;
        if state == WATCH {
            return number(13).map(|session| Row::Watch(session as u64));
        }
        let optional = |column: usize| row.get::<_, Option<i64>>(column).map_err(from_sqlite);
        let mode = match number(4)? {
            0 => Mode::Exclusive,
            1 => Mode::Shared,
            2 => Mode::Permits { take: permits(number(5)?)?, of: permits(number(6)?)? },
            _ => return Err(unknown("mode")),
        };
        let entry = Entry {
            seq: number(1)? as u64,
            id: ClaimId::from_bits(u128::from_be_bytes(row.get(2).map_err(from_sqlite)?)),
            state: *pick(&STATES, state).ok_or_else(|| unknown("state"))?,
            mode,
            queueing: *pick(&QUEUEINGS, number(7)?).ok_or_else(|| unknown("queueing"))?,
            expires: Moment::from_nanos(number(8)? as u64),
            since: Moment::from_nanos(number(10)? as u64),
            lock_delay: Duration::from_nanos(number(11)? as u64),
            session: optional(12)?.map(|session| session as u64),
            fence: optional(15)?.map(|fence| FencingToken::new(fence as u64)).transpose()?,
            note: row.get::<_, Option<Arc<str>>>(16).map_err(from_sqlite)?,
        };
        let waker = optional(13)?.map(|session| session as u64);
        Ok(Row::Claim(ClaimRow { entry, expires_wall_us: number(9)?, waker }))
    }
}

/// Writes the row of a claim, with no pending wake-up; `waker` is the session to wake while it waits.
pub(crate) fn put(txn: &Txn<'_>, name: &LockName, entry: &Entry, waker: Option<u64>) -> Result<()> {
    let (mode, take, of) = match entry.mode {
        Mode::Exclusive => (0, 0, 0),
        Mode::Shared => (1, 0, 0),
        Mode::Permits { take, of } => (2, i64::from(take), i64::from(of)),
        _ => return Err(Error::new(ErrorKind::Unsupported, "sqlite does not know this mode")),
    };
    let columns = params![
        name.as_str(),
        entry.seq as i64,
        entry.id.bits().to_be_bytes(),
        index_of(&STATES, &entry.state),
        mode,
        take,
        of,
        index_of(&QUEUEINGS, &entry.queueing),
        nanos(entry.expires),
        txn.wall_us_of(entry.expires),
        nanos(entry.since),
        i64::try_from(entry.lock_delay.as_nanos()).unwrap_or(i64::MAX),
        entry.session.map(|session| session as i64),
        waker.map(|session| session as i64),
        0,
        entry.fence.map(|fence| fence.get() as i64),
        entry.note.as_deref(),
    ];
    txn.execute(include_str!("../sql/put.sql"), columns)
}

/// SQLite's integers are signed; they end three centuries after the start of the machine.
fn nanos(moment: Moment) -> i64 {
    i64::try_from(moment.nanos()).unwrap_or(i64::MAX)
}

fn permits(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| unknown("number of permits"))
}

fn pick<T>(all: &[T], index: i64) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| all.get(index))
}

fn index_of<T: PartialEq>(all: &[T], one: &T) -> i64 {
    all.iter().position(|other| other == one).map_or(-1, |index| index as i64)
}

fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a claim in the database has an unknown {what}"))
        .hint("a newer version may have written it: use that version")
}
