//! [`list`]: the locks with a prefix.

use leasehold_core::{LockName, Result, Snapshot};

use super::inspect::snapshot;
use crate::{error::from_sqlite, format::Row, lock_record::LockRecord, txn::Txn, waiters::Waiters};

/// The locks in use whose names begin with `prefix`.
pub(crate) fn list(
    txn: &mut Txn<'_>,
    waiters: &Waiters,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Snapshot>> {
    let mut statement = txn.prepare(include_str!("../../sql/list.sql"))?;
    let mut rows = statement.query([prefix]).map_err(from_sqlite)?;
    let (mut found, mut open) = (Vec::new(), None::<(String, Vec<Row>)>);
    while found.len() < limit {
        let row = rows.next().map_err(from_sqlite)?;
        let name = row.map(|row| row.get::<_, String>(0).map_err(from_sqlite)).transpose()?;
        let name = name.filter(|name| name.starts_with(prefix));
        if let Some((complete, rows)) = open.take_if(|(of, _)| Some(&*of) != name.as_ref()) {
            let record = LockRecord::new(LockName::new(complete)?, rows);
            let snapshot = snapshot(txn, waiters, record)?;
            if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                found.push(snapshot);
            }
        }
        let (Some(row), Some(name)) = (row, name) else { break };
        open.get_or_insert_with(|| (name, Vec::new())).1.push(Row::read(row)?);
    }
    Ok(found)
}
