//! [`View::list`]: the locks with a prefix.

use leasehold_core::{LockName, Result, Snapshot};

use super::View;
use crate::{error::from_sqlite, format::Row};

impl View<'_> {
    /// The locks in use whose names begin with `prefix`.
    pub(crate) fn list(&mut self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let fence = self.fence()?;
        let connection = self.connection;
        let mut statement =
            connection.prepare_cached(include_str!("../../sql/list.sql")).map_err(from_sqlite)?;
        let mut rows = statement.query([prefix]).map_err(from_sqlite)?;
        let (mut found, mut open) = (Vec::new(), None::<(String, Vec<Row>)>);
        while found.len() < limit {
            let row = rows.next().map_err(from_sqlite)?;
            let name = row.map(|row| row.get::<_, String>(0).map_err(from_sqlite)).transpose()?;
            let name = name.filter(|name| name.starts_with(prefix));
            if let Some((complete, rows)) = open.take_if(|(of, _)| Some(&*of) != name.as_ref()) {
                let snapshot = self.snapshot(LockName::new(complete)?, rows, fence);
                if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                    found.push(snapshot);
                }
            }
            let (Some(row), Some(name)) = (row, name) else { break };
            open.get_or_insert_with(|| (name, Vec::new())).1.push(Row::read(row)?);
        }
        Ok(found)
    }
}
