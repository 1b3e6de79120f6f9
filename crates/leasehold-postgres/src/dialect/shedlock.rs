//! The dialect of ShedLock: a row a lock in its table, `lock_until`, `locked_at` and `locked_by`, on the server's clock as with
//! its `usingDbTime`. The owner is the claim's id.

mod format;
mod table;

use std::{fmt, time::Duration};

use leasehold_core::{
    Busy, Claim, Contender, Env, Error, Finding, Grant, Intent, LockName, LostReason, Release, Renewal,
    Result, ServerInfo, Snapshot, Standing,
    store_kit::{ClientState, Verbs},
};
use tokio_postgres::Row;

pub(crate) use table::Table;

use super::RECHECK_MAX;
use crate::{
    doctor,
    error::column,
    format::micros,
    options::PostgresOptions,
    server_info,
    sql::{SHEDLOCK_CLAIM, SHEDLOCK_FORCE_RELEASE, SHEDLOCK_LIST, SHEDLOCK_RELEASE, SHEDLOCK_RENEW, Sql},
    transport::{Argument, Transport},
};
use format::{contender, read_name, span, write_name};

/// A client of a database with ShedLock's table.
pub(crate) struct ShedLockStore {
    table: Table,
    transport: Transport,
}

impl ShedLockStore {
    pub(crate) fn new(options: PostgresOptions, table: Table, env: Env) -> Result<ShedLockStore> {
        Ok(ShedLockStore { table, transport: Transport::new(options, env)? })
    }

    async fn query(&self, sql: &Sql, arguments: &[Argument<'_>]) -> Result<Vec<Row>> {
        let sql = self.table.statement(sql);
        self.transport.query(&sql, arguments).await.map_err(|error| explain(error, &self.table.name))
    }

    pub(crate) async fn diagnose(&self) -> Result<Vec<Finding>> {
        doctor::of_table(&self.transport, Some(&self.table.name)).await
    }

    async fn snapshots(&self, begin: &str, is_whole: bool) -> Result<Vec<Snapshot>> {
        let rows = self.query(&SHEDLOCK_LIST, &[&&*write_name(begin), &is_whole]).await?;
        let mut found = Vec::new();
        for row in &rows {
            // A name of another library may be longer than ours.
            if let Some(name) = read_name(column(row, 3)?) {
                found.push(Snapshot::of(name, vec![contender(row, 0)?]));
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }
}

/// The error with a hint about this table instead of our own schema.
fn explain(error: Error, table: &str) -> Error {
    let told = error.to_string();
    let is = |code: &str| told.contains(code);
    match true {
        _ if is("(42P01)") || is("(3F000)") => {
            error.hint("make the table as ShedLock's manual says, or name it: table=schema.name")
        }
        _ if is("(42703)") => error.hint("name its columns: columns=name,lock_until,locked_at,locked_by"),
        _ if is("(42501)") => error.hint(format!("GRANT SELECT, INSERT, UPDATE ON {table} TO this user")),
        _ if is("(22001)") => error.hint("a column is too narrow: shorten the name, or widen the column"),
        _ => error,
    }
}

impl Verbs for ShedLockStore {
    fn state(&self) -> &ClientState {
        &self.transport.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.transport).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        if claim.intent == Intent::Amend {
            let renewed = self.renew(std::slice::from_ref(claim)).await.into_iter().next();
            return Ok(match renewed.transpose()? {
                Some(Renewal::Renewed { valid_for }) => Standing::Granted(Grant::lasting(None, valid_for)),
                _ => Standing::Gone(LostReason::Gone),
            });
        }
        let (name, owner) = (write_name(&claim.name), claim.id.to_string());
        let arguments: [Argument<'_>; 3] = [&&*name, &owner, &micros(claim.ttl)];
        let rows = self.query(&SHEDLOCK_CLAIM, &arguments).await?;
        let soon = Duration::from_millis(1);
        let Some(row) = rows.first() else {
            return Ok(Standing::Held(Busy { holder: None, ahead: None, recheck_in: soon }));
        };
        let lasts = span(column(row, 1)?);
        if column(row, 0)? {
            return Ok(Standing::Granted(Grant::lasting(None, lasts)));
        }
        let recheck_in = lasts.clamp(soon, RECHECK_MAX);
        Ok(Standing::Held(Busy { holder: Some(contender(row, 1)?), ahead: None, recheck_in }))
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let names: Vec<_> = claims.iter().map(|claim| write_name(&claim.name)).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let owners: Vec<String> = claims.iter().map(|claim| claim.id.to_string()).collect();
        let ttls: Vec<i64> = claims.iter().map(|claim| micros(claim.ttl)).collect();
        let renewal = |row| {
            let lasts = column::<Option<f64>>(row, 0)?.map(span);
            Ok(lasts.map_or(Renewal::Gone(LostReason::Gone), |valid_for| Renewal::Renewed { valid_for }))
        };
        match self.query(&SHEDLOCK_RENEW, &[&names, &owners, &ttls]).await {
            Ok(rows) => rows.iter().map(renewal).collect(),
            Err(error) => vec![Err(error); claims.len()],
        }
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let (name, owner) = (write_name(&claim.name), claim.id.to_string());
        let rows = self.query(&SHEDLOCK_RELEASE, &[&&*name, &owner]).await?;
        Ok(if rows.is_empty() { Release::NotHeld } else { Release::Released })
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        let found = self.snapshots(name, true).await?.pop();
        Ok(found.unwrap_or_else(|| Snapshot::of(name.clone(), Vec::new())))
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let mut found = self.snapshots(prefix, false).await?;
        found.truncate(limit);
        Ok(found)
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let name = write_name(name);
        let rows = self.query(&SHEDLOCK_FORCE_RELEASE, &[&&*name]).await?;
        rows.iter().map(|row| contender(row, 0)).collect()
    }

    async fn close(&self) -> Result<()> {
        self.transport.close();
        Ok(())
    }
}

impl fmt::Debug for ShedLockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShedLockStore").field(&self.transport.state.url).finish()
    }
}
