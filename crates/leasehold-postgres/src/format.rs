//! The columns of a claim, written and read.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Error, ErrorKind, FencingToken, Mode, Moment, Queueing, Result,
    decide::lock_state::{Entry, State},
};
use tokio_postgres::Row;

use crate::error::column;

/// The number of columns of a claim.
pub(crate) const COLUMNS: usize = 12;

const STATES: [State; 4] = [State::Waiting, State::Held, State::Delaying, State::Revoked];
const QUEUEINGS: [Queueing; 3] = [Queueing::No, Queueing::Barging, Queueing::Fifo];

/// The claim in the first columns of a row, whose number in the order of arrival is `seq`; `None` where they are null.
pub(crate) fn entry(row: &Row, seq: u64) -> Result<Option<Entry>> {
    let Some(id) = column::<Option<&[u8]>>(row, 0)? else { return Ok(None) };
    let at = |at| Ok::<_, Error>(moment(column(row, at)?));
    let mode = match column::<i16>(row, 2)? {
        0 => Mode::Exclusive,
        1 => Mode::Shared,
        2 => Mode::Permits { take: permits(column(row, 3)?)?, of: permits(column(row, 4)?)? },
        _ => return Err(unknown("mode")),
    };
    Ok(Some(Entry {
        seq,
        id: ClaimId::from_bits(u128::from_be_bytes(id.try_into().map_err(|_| unknown("id"))?)),
        state: *pick(&STATES, column(row, 1)?).ok_or_else(|| unknown("state"))?,
        mode,
        queueing: *pick(&QUEUEINGS, column(row, 5)?).ok_or_else(|| unknown("queueing"))?,
        expires: at(6)?,
        since: at(7)?,
        lock_delay: Duration::from_micros(column::<i64>(row, 8)?.cast_unsigned()),
        session: None,
        fence: column::<Option<i64>>(row, 10)?.map(token).transpose()?,
        note: column::<Option<&[u8]>>(row, 11)?.map(|note| Arc::from(String::from_utf8_lossy(note))),
    }))
}

/// A mode as mode, take and places.
pub(crate) fn mode(mode: Mode) -> Result<(i16, i64, i64)> {
    match mode {
        Mode::Exclusive => Ok((0, 0, 0)),
        Mode::Shared => Ok((1, 0, 0)),
        Mode::Permits { take, of } => Ok((2, take.into(), of.into())),
        _ => Err(Error::new(ErrorKind::Unsupported, "postgres does not know this mode")),
    }
}

pub(crate) fn queueing(queueing: Queueing) -> i16 {
    QUEUEINGS.iter().position(|other| *other == queueing).map_or(0, |at| at as i16)
}

/// A moment on the server's clock, of its microseconds since 1970.
pub(crate) fn moment(micros: i64) -> Moment {
    Moment::from_nanos(micros.cast_unsigned().saturating_mul(1000))
}

/// The longest span, of a hundred years: a sum with the time stays in range.
const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A span in whole microseconds.
pub(crate) fn micros(span: Duration) -> i64 {
    span.min(SPAN_MAX).as_micros() as i64
}

pub(crate) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

pub(crate) fn token(number: i64) -> Result<FencingToken> {
    FencingToken::new(number.cast_unsigned())
}

pub(crate) fn id(id: ClaimId) -> [u8; 16] {
    id.bits().to_be_bytes()
}

fn permits(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| unknown("number of permits"))
}

fn pick<T>(all: &[T], index: i16) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| all.get(index))
}

fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a claim in the database has an unknown {what}"))
        .hint("a newer version may have written it: use that version")
}
