//! One lock as it is now, and the locks with a prefix.

use leasehold_core::{Error, ErrorKind, LockName, Result, Snapshot, decide::lock_state::LockState};
use tokio_postgres::Row;

use crate::{
    client::Client,
    error::column,
    format,
    sql::{INSPECT, LIST},
};

/// The most names that are read at once.
const NAMES_MAX: usize = 1000;

pub(crate) async fn inspect(client: &Client, name: &LockName) -> Result<Snapshot> {
    let rows = client.transport.query(&INSPECT, &[&name.as_bytes()]).await?;
    if rows.is_empty() {
        return Ok(Snapshot::of(name.clone(), Vec::new()));
    }
    snapshot(&rows)
}

/// The locks in use whose names begin with `prefix`.
pub(crate) async fn list(client: &Client, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    let (mut found, mut after) = (Vec::new(), Vec::new());
    while found.len() < limit {
        let count = (limit - found.len()).min(NAMES_MAX);
        let rows = client.transport.query(&LIST, &[&prefix.as_bytes(), &after, &(count as i64)]).await?;
        let groups: Vec<&[Row]> = rows.chunk_by(|one, other| name(one) == name(other)).collect();
        for group in &groups {
            let snapshot = snapshot(group)?;
            if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                found.push(snapshot);
            }
        }
        match rows.last() {
            Some(last) if groups.len() == count => after = name(last).to_vec(),
            _ => break,
        }
    }
    Ok(found)
}

fn name(row: &Row) -> &[u8] {
    row.try_get(0).unwrap_or_default()
}

fn snapshot(rows: &[Row]) -> Result<Snapshot> {
    let foreign = |_| Error::new(ErrorKind::Corrupt, "a lock in the database has no name in UTF-8");
    let name = LockName::new(std::str::from_utf8(name(&rows[0])).map_err(foreign)?)?;
    let now = format::moment(column(&rows[0], 2)?);
    let fence = format::token(column(&rows[0], 1)?)?;
    let mut entries = Vec::new();
    for (row, seq) in rows.iter().zip(1..) {
        let claim: Option<&[u8]> = column(row, 3)?;
        entries.extend(claim.map(|claim| format::entry(claim, seq)).transpose()?);
    }
    let (holders, waiters) = LockState::of(entries).contenders(now);
    let fence = Some(fence).filter(|fence| fence.get() > 0);
    Ok(Snapshot { name, holders, waiters, fence, members: Vec::new() })
}
