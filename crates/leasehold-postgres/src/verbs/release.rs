//! A release, by its claim or by force.

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::{
    client::Client,
    error::column,
    format,
    sql::{FORCE_RELEASE, RELEASE},
};

/// Ends the hold of a claim, or its waiting. An id of which a request may still arrive is refused until then.
pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let now = client.transport.env.now();
    let doubt = client.in_doubt.until(claim.id, now).map_or(0, |until| format::micros(until.since(now)));
    let id = claim.id.bits().to_be_bytes();
    // The doubt stays: a second release would end the refusal.
    let rows = client.transport.query(&RELEASE, &[&claim.name.as_bytes(), &&id[..], &doubt]).await?;
    Ok(if column(&rows[0], 0)? { Release::Released } else { Release::NotHeld })
}

/// Ends every hold of a lock, and answers the holders.
pub(crate) async fn force_release(client: &Client, name: &LockName) -> Result<Vec<Contender>> {
    let rows = client.transport.query(&FORCE_RELEASE, &[&name.as_bytes()]).await?;
    let ended = |row| {
        let now = format::moment(column(row, 1)?);
        Ok(format::entry(column(row, 0)?, 0)?.contender(now))
    };
    rows.iter().map(ended).collect()
}
