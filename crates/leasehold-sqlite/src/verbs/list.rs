//! [`list`]: the locks with a prefix.

use leasehold_core::{LockName, Result, Snapshot};

use super::inspect;
use crate::{error::from_sqlite, txn::Txn, waiters::Waiters};

/// The locks in use whose names begin with `prefix`.
pub(crate) fn list(
    txn: &mut Txn<'_>,
    waiters: &Waiters,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Snapshot>> {
    let mut statement = txn.prepare(include_str!("../../sql/list.sql"))?;
    let mut names = statement.query([prefix]).map_err(from_sqlite)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = names.next().map_err(from_sqlite)?
    {
        let name: String = row.get(0).map_err(from_sqlite)?;
        if !name.starts_with(prefix) {
            break;
        }
        let snapshot = inspect(txn, waiters, &LockName::new(name)?)?;
        if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
            found.push(snapshot);
        }
    }
    Ok(found)
}
