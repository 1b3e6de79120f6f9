//! A claim.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, Error, ErrorKind, FencingToken, Grant, Intent, LostReason, Result, Standing,
};

use crate::{
    client::Client,
    error::column,
    format::{self, Fields, micros, span},
    sql::CLAIM,
    transport::Argument,
};

/// The longest pause between two questions of a waiter that nothing wakes: a pooler loses its notifications.
const DEAF_RECHECK: Duration = Duration::from_millis(50);
/// The longest time after which a request may still be carried out.
const DELIVERY_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn claim(client: &Client, claim: &Claim) -> Result<Standing> {
    let result = send(client, claim).await;
    let now = client.transport.env.now();
    client.in_doubt.mark_unknown(claim.id, &result, now + DELIVERY_MAX, now);
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
    let id = claim.id.bits().to_be_bytes();
    let floor = |token: Option<FencingToken>| token.map(FencingToken::as_i64);
    let arguments: [Argument<'_>; 14] = [
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
        &client.transport.options.is_member,
    ];
    let rows = client.transport.query(&CLAIM, &arguments).await?;
    client.answered_by(column(&rows[0], 1)?);
    let mut standing = standing(column(&rows[0], 0)?)?;
    if let (Standing::Granted(grant), Some(remembers)) = (&mut standing, column(&rows[0], 2)?) {
        grant.remembers_for = span(remembers);
    }
    Ok(standing)
}

/// The standing in a `leasehold.answer`.
fn standing(answer: &[u8]) -> Result<Standing> {
    let mut fields = Fields::of(answer);
    let (standing, number) = (fields.number()?, fields.number()?);
    let span = span(fields.number()?.unwrap_or_default());
    let mut busy = || {
        let ahead = fields.number()?.and_then(|ahead| u32::try_from(ahead).ok());
        let holder = fields.bytes()?.map(|holder| format::entry(holder, 0)).transpose()?;
        let now = format::moment(fields.number()?.unwrap_or_default());
        Ok::<_, Error>(Busy { holder: holder.map(|holder| holder.contender(now)), ahead, recheck_in: span })
    };
    Ok(match standing {
        Some(0) => Standing::Granted(Grant::lasting(number.map(format::token).transpose()?, span)),
        Some(1) => Standing::Waiting(busy()?),
        Some(2) => Standing::Held(busy()?),
        Some(3) => Standing::Mismatch { limit: number.and_then(|limit| u32::try_from(limit).ok()) },
        Some(4) => Standing::Gone(gone(number.unwrap_or_default())),
        _ => return Err(Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53")),
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
