//! [`check_in`]: the lock, checked in the user's own transaction.

use leasehold_core::{FencingToken, Result};

use crate::{Parameter, PostgresTransaction, sql::CHECK_IN};

/// Checks that the lock of this name is held by this token, and keeps the next token out until the transaction ends. So what
/// the transaction writes is written by the newest holder, whatever clocks and pauses do (level T of SAFETY.md).
///
/// `name` is the name in the database, with the `prefix` of the store's URL before it; a guard of the crate `leasehold` has
/// a method of this name, which knows both. Call it first in the transaction. While
/// the transaction is open, renewals and releases pass and the next claim waits: `idle_in_transaction_session_timeout` ends
/// one that was forgotten.
///
/// ```no_run
/// # async fn example(
/// #     database: &mut tokio_postgres::Client, token: leasehold_core::FencingToken,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let transaction = database.transaction().await?;
/// leasehold_postgres::check_in(&transaction, "billing/42", token).await?;
/// transaction.execute("UPDATE invoices SET paid = true WHERE id = 42", &[]).await?;
/// transaction.commit().await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Stale`](leasehold_core::ErrorKind) when the lease is over: the transaction is aborted, and can only be rolled back. Those of the server.
///
/// # Cancel safety
/// Dropped half-way, the transaction is in an unknown state: roll it back.
pub async fn check_in(
    mut transaction: impl PostgresTransaction,
    name: &str,
    token: FencingToken,
) -> Result<()> {
    let parameters = [Parameter::Bytes(name.as_bytes()), Parameter::Number(token.as_i64())];
    transaction.run(check_in_statement(), &parameters).await.map(drop)
}

/// The statement of [`check_in`], for other clients of PostgreSQL: bind the bytes of the name, and
/// [`FencingToken::as_i64`]. It fails with SQLSTATE `LH001`.
pub fn check_in_statement() -> &'static str {
    &CHECK_IN.text
}
