//! A claim, written as arguments and read from its binary form.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Error, ErrorKind, FencingToken, Mode, Moment, Queueing, Result,
    decide::lock_state::{Entry, State},
};

const STATES: [State; 4] = [State::Waiting, State::Held, State::Delaying, State::Revoked];
const QUEUEINGS: [Queueing; 3] = [Queueing::No, Queueing::Barging, Queueing::Fifo];

/// The fields of a composite value in binary form: their number, and for each its type, its length and its bytes.
pub(crate) struct Fields<'r>(&'r [u8]);

impl<'r> Fields<'r> {
    pub(crate) fn of(value: &'r [u8]) -> Fields<'r> {
        Fields(value.get(4..).unwrap_or_default())
    }

    /// The bytes of the next field; `None` for null.
    pub(crate) fn bytes(&mut self) -> Result<Option<&'r [u8]>> {
        let short = || unknown("form");
        let (length, rest) = self.0.get(4..).and_then(<[u8]>::split_first_chunk).ok_or_else(short)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (field, rest) = rest.split_at_checked(length.unwrap_or_default()).ok_or_else(short)?;
        self.0 = rest;
        Ok(length.map(|_| field))
    }

    /// The next field, an integer of any length.
    pub(crate) fn number(&mut self) -> Result<Option<i64>> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte));
        self.bytes().map(|bytes| bytes.map(number))
    }

    fn present(&mut self) -> Result<i64> {
        self.number()?.ok_or_else(|| unknown("null"))
    }
}

/// A claim, whose number in the order of arrival is `seq`.
pub(crate) fn entry(claim: &[u8], seq: u64) -> Result<Entry> {
    let mut fields = Fields::of(claim);
    let id = fields.bytes()?.and_then(|id| id.try_into().ok()).ok_or_else(|| unknown("id"))?;
    let state = *pick(&STATES, fields.present()?).ok_or_else(|| unknown("state"))?;
    let mode = match (fields.present()?, fields.present()?, fields.present()?) {
        (0, ..) => Mode::Exclusive,
        (1, ..) => Mode::Shared,
        (2, take, places) => Mode::Permits { take: permits(take)?, of: permits(places)? },
        _ => return Err(unknown("mode")),
    };
    let queueing = *pick(&QUEUEINGS, fields.present()?).ok_or_else(|| unknown("queueing"))?;
    let (expires, since) = (moment(fields.present()?), moment(fields.present()?));
    let (lock_delay, _client) = (span(fields.present()?), fields.present()?);
    let fence = fields.number()?.map(token).transpose()?;
    let note = fields.bytes()?.map(|note| Arc::from(String::from_utf8_lossy(note)));
    let id = ClaimId::from_bits(u128::from_be_bytes(id));
    Ok(Entry { seq, id, state, mode, queueing, expires, since, lock_delay, session: None, fence, note })
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

fn permits(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| unknown("number of permits"))
}

fn pick<T>(all: &[T], index: i64) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| all.get(index))
}

fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a claim in the database has an unknown {what}"))
        .hint("a newer version may have written it: use that version")
}
