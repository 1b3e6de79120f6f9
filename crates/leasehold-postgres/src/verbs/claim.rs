//! A claim.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, Error, ErrorKind, FencingToken, Grant, Intent, LostReason, Result, Standing,
};
use tokio_postgres::Row;

use crate::{
    client::Client,
    error::column,
    format::{self, COLUMNS, micros, span},
    sql::CLAIM,
};

/// The longest pause between two questions of a waiter that nothing wakes: a pooler loses its notifications.
const DEAF_RECHECK: Duration = Duration::from_millis(50);

/// Claims a lock.
pub(crate) async fn claim(client: &Client, claim: &Claim) -> Result<Standing> {
    let result = send(client, claim).await;
    client.mark_in_doubt(claim.id, &result);
    let mut standing = result?;
    if let Standing::Waiting(busy) = &mut standing
        && client.listener.is_deaf()
    {
        busy.recheck_in = busy.recheck_in.min(DEAF_RECHECK);
    }
    Ok(standing)
}

async fn send(client: &Client, claim: &Claim) -> Result<Standing> {
    let (mode, take, places) = format::mode(claim.mode)?;
    let (id, floor) = (format::id(claim.id), |token: Option<FencingToken>| token.map(FencingToken::as_i64));
    let rows = client
        .transport
        .query(
            &CLAIM,
            &[
                &claim.name.as_bytes(),
                &&id[..],
                &mode,
                &take,
                &places,
                &format::queueing(claim.queueing),
                &(claim.intent == Intent::Amend),
                &micros(claim.ttl),
                &micros(claim.lock_delay),
                &client.number,
                &floor(claim.fence_floor),
                &floor(claim.fence_proposal),
                &claim.note.as_deref().map(str::as_bytes),
            ],
        )
        .await?;
    client.answered_by(column(&rows[0], COLUMNS + 5)?);
    standing(&rows[0])
}

fn standing(row: &Row) -> Result<Standing> {
    let number = || column::<Option<i64>>(row, COLUMNS + 2);
    let span = || column::<Option<i64>>(row, COLUMNS + 3).map(|micros| span(micros.unwrap_or_default()));
    Ok(match column::<i16>(row, COLUMNS + 1)? {
        0 => Standing::Granted(Grant::lasting(number()?.map(format::token).transpose()?, span()?)),
        1 => Standing::Waiting(busy(row, span()?)?),
        2 => Standing::Held(busy(row, span()?)?),
        3 => Standing::Mismatch { limit: number()?.and_then(|limit| u32::try_from(limit).ok()) },
        4 => Standing::Gone(gone(number()?.unwrap_or_default())),
        _ => return Err(Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53")),
    })
}

fn busy(row: &Row, recheck_in: Duration) -> Result<Busy> {
    let now = format::moment(column(row, COLUMNS)?);
    let ahead: Option<i32> = column(row, COLUMNS + 4)?;
    Ok(Busy {
        holder: format::entry(row, 0)?.map(|entry| entry.contender(now)),
        ahead: ahead.and_then(|ahead| u32::try_from(ahead).ok()),
        recheck_in,
    })
}

/// Why a claim is gone, as the functions answer it.
pub(super) fn gone(number: i64) -> LostReason {
    match number {
        0 => LostReason::Expired,
        1 => LostReason::ForceReleased,
        _ => LostReason::Gone,
    }
}
