//! [`PostgresHighWaterMark`]: fencing in your own PostgreSQL database, in your own transaction.

use leasehold_core::{Error, ErrorKind, FencingToken, Result};
use leasehold_postgres::{Parameter, PostgresTransaction};

use super::{Stale, statements::POSTGRESQL};

/// The high-water marks of resources that live in a PostgreSQL database, in the table `leasehold_fencing` beside them.
///
/// Every call wants an open transaction of `tokio-postgres` or `sqlx`, so that the check commits together with the write that
/// it admits. On an error, drop the transaction: it rolls back. Where the locks themselves are in that database,
/// [`check_in`](crate::postgres::check_in) is shorter and needs no claim.
///
/// ```no_run
/// # async fn example(
/// #     database: &mut leasehold::postgres::tokio_postgres::Client, token: leasehold::FencingToken,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold::fencing::postgres::PostgresHighWaterMark;
/// let transaction = database.transaction().await?;
/// PostgresHighWaterMark::claim(&transaction, "account/7", token).await?;    // first the claim …
/// let balance: i64 = transaction.query_one("SELECT balance FROM account", &[]).await?.get(0);    // … then read
/// transaction.commit().await?;
/// let transaction = database.transaction().await?;
/// PostgresHighWaterMark::admit(&transaction, "account/7", token).await?;    // check and write commit together
/// transaction.execute("UPDATE account SET balance = $1", &[&(balance - 30)]).await?;
/// transaction.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PostgresHighWaterMark;

impl PostgresHighWaterMark {
    /// Makes the table. Repeating it does nothing.
    ///
    /// # Errors
    /// Those of the server.
    ///
    /// # Cancel safety
    /// Dropped half-way, the transaction is in an unknown state: roll it back. The same goes for the others.
    pub async fn create(mut transaction: impl PostgresTransaction) -> Result<()> {
        transaction.run(POSTGRESQL.create, &[]).await.map(drop)
    }

    /// Step 1, in the transaction of the first read and before it: raises the mark.
    ///
    /// # Errors
    /// [`ErrorKind::Stale`] when a later holder was here; those of the server.
    pub async fn claim(
        transaction: impl PostgresTransaction,
        resource: &str,
        token: FencingToken,
    ) -> Result<()> {
        change(transaction, POSTGRESQL.claim, resource, token).await
    }

    /// Steps 2 and 3, in the transaction of the write and before it.
    ///
    /// # Errors
    /// As [`PostgresHighWaterMark::claim`]; [`ErrorKind::Invalid`] when nobody has ever claimed the resource.
    pub async fn admit(
        transaction: impl PostgresTransaction,
        resource: &str,
        token: FencingToken,
    ) -> Result<()> {
        change(transaction, POSTGRESQL.write_guard, resource, token).await
    }
}

async fn change(
    mut transaction: impl PostgresTransaction,
    statement: &'static str,
    resource: &str,
    token: FencingToken,
) -> Result<()> {
    let parameters = [Parameter::Text(resource), Parameter::Number(token.as_i64())];
    if transaction.run(statement, &parameters).await?.is_some() {
        return Ok(());
    }
    match transaction.run(POSTGRESQL.highest, &parameters[..1]).await? {
        Some(highest) => Err(Stale { presented: token, highest: FencingToken::try_from(highest)? }.into()),
        None => Err(Error::new(ErrorKind::Invalid, "nobody has claimed this resource")
            .hint("call PostgresHighWaterMark::claim before the first read")),
    }
}
