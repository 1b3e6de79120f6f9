//! The dialect of ShedLock: a row a lock in its table, `lock_until`, `locked_at` and `locked_by`, on the server's clock as with
//! its `usingDbTime`. The owner is the claim's id.

mod format;
mod table;

use std::{fmt, time::Duration};

use leasehold_core::{
    Busy, Capability, Claim, Contender, Env, Error, Fencing, Finding, Grant, Intent, Interest, LockName,
    LostReason, Release, Renewal, Result, Revalidations, ServerInfo, Snapshot, Standing, Wake,
    store_kit::{ClientState, NeverWakes, Verbs},
};
use tokio_postgres::Row;

pub(crate) use table::Table;

use crate::{
    doctor,
    error::column,
    format::micros,
    options::PostgresOptions,
    server_info,
    sql::Sql,
    transport::{Argument, Transport},
};
use format::{contender, lasts, read_name, snapshot, write_name};
use table::Statements;

/// The longest sleep of a waiter: nobody wakes it.
const RECHECK_MAX: Duration = Duration::from_millis(500);

/// The features for which the table has room.
pub(super) fn capability(native: Capability) -> Capability {
    Capability {
        commits: false,
        shared: false,
        permits: 0,
        fifo: false,
        fencing: Fencing::None,
        waiters: false,
        wakes: false,
        notes: false,
        lock_delay: false,
        votes: false,
        ..native
    }
}

/// A client of a database with ShedLock's table.
pub(crate) struct ShedLockStore {
    capability: Capability,
    table: String,
    statements: Statements,
    state: ClientState,
    transport: Transport,
    revalidations: Revalidations,
}

impl ShedLockStore {
    /// Without a connection yet.
    pub(crate) fn new(options: PostgresOptions, table: &Table, env: Env) -> Result<ShedLockStore> {
        options.check()?;
        let (capability, revalidations) = (options.capability(), Revalidations::default());
        let transport = Transport::new(options, env, revalidations.clone());
        let (statements, state) = (table.statements(), ClientState::default());
        let table = table.name.clone();
        Ok(ShedLockStore { capability, table, statements, state, transport, revalidations })
    }

    async fn query(&self, sql: &Sql, arguments: &[Argument<'_>]) -> Result<Vec<Row>> {
        self.transport.query(sql, arguments).await.map_err(|error| explain(error, &self.table))
    }

    /// As the diagnosis of our own format. It closes the store.
    pub(crate) async fn diagnose(&self) -> Result<Vec<Finding>> {
        let findings = doctor::of_table(&self.transport, Some(&self.table)).await;
        self.transport.close();
        findings
    }

    /// The names of the holders that `list.sql` answers.
    async fn holds(&self, begin: &str, is_whole: bool) -> Result<Vec<(LockName, Contender)>> {
        let begin = write_name(begin);
        let rows = self.query(&self.statements.list, &[&&*begin, &is_whole]).await?;
        let mut found = Vec::new();
        for row in &rows {
            // A name of another library may be longer than ours.
            if let Some(name) = read_name(column(row, 3)?) {
                found.push((name, contender(row, 0)?));
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
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
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.transport.options.url
    }

    fn check_open(&self) -> Result<()> {
        self.state.check_open()
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.transport).await
    }

    async fn revalidation(&self, seen: &mut u64) {
        self.revalidations.after(seen).await;
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
        let rows = self.query(&self.statements.claim, &arguments).await?;
        let Some(row) = rows.first() else {
            let recheck_in = Duration::from_millis(1);
            return Ok(Standing::Held(Busy { holder: None, ahead: None, recheck_in }));
        };
        let lasts = lasts(row, 1)?;
        if column(row, 0)? {
            return Ok(Standing::Granted(Grant::lasting(None, lasts)));
        }
        let recheck_in = lasts.clamp(Duration::from_millis(1), RECHECK_MAX);
        Ok(Standing::Held(Busy { holder: Some(contender(row, 1)?), ahead: None, recheck_in }))
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let names: Vec<_> = claims.iter().map(|claim| write_name(&claim.name)).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let owners: Vec<String> = claims.iter().map(|claim| claim.id.to_string()).collect();
        let admitted: Vec<Result<()>> = claims.iter().map(|claim| self.capability.admits(claim)).collect();
        // One beyond the capability is sent with no time to live, which changes nothing.
        let ttl =
            |(claim, admitted): (&Claim, &Result<()>)| admitted.as_ref().map_or(0, |()| micros(claim.ttl));
        let ttls: Vec<i64> = claims.iter().zip(&admitted).map(ttl).collect();
        match self.query(&self.statements.renew, &[&names, &owners, &ttls]).await {
            Ok(rows) => rows
                .iter()
                .zip(admitted)
                .map(|(row, admitted)| {
                    admitted?;
                    Ok(match column::<Option<f64>>(row, 0)? {
                        Some(_) => Renewal::Renewed { valid_for: lasts(row, 0)? },
                        None => Renewal::Gone(LostReason::Gone),
                    })
                })
                .collect(),
            Err(error) => vec![Err(error); claims.len()],
        }
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let (name, owner) = (write_name(&claim.name), claim.id.to_string());
        let rows = self.query(&self.statements.release, &[&&*name, &owner]).await?;
        Ok(if rows.is_empty() { Release::NotHeld } else { Release::Released })
    }

    async fn watch(&self, _: &LockName, _: Interest) -> Result<Box<dyn Wake>> {
        Ok(Box::new(NeverWakes))
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        let holders = self.holds(name, true).await?.into_iter().map(|(_, holder)| holder).collect();
        Ok(snapshot(name.clone(), holders))
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let holds = self.holds(prefix, false).await?.into_iter().take(limit);
        Ok(holds.map(|(name, holder)| snapshot(name, vec![holder])).collect())
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let name = write_name(name);
        let rows = self.query(&self.statements.force_release, &[&&*name]).await?;
        rows.iter().map(|row| contender(row, 0)).collect()
    }

    async fn close(&self) -> Result<()> {
        if self.state.close() {
            self.transport.close();
        }
        Ok(())
    }
}

impl fmt::Debug for ShedLockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShedLockStore").field(&self.transport.options.url).finish()
    }
}
