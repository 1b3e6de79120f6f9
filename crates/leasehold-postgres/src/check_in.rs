//! [`check_in`]: the lock, checked in the user's own transaction.

use leasehold_core::{Error, ErrorKind, FencingToken, Result};
use tokio_postgres::Transaction;

use crate::{error::explain, sql::CHECK_IN};

/// Checks that the lock of this name is held by this token, and keeps the next token out until the transaction ends. So what
/// the transaction writes is written by the newest holder, whatever clocks and pauses do (level T of SAFETY.md).
///
/// `name` is the name in the database, with the `prefix` of the store's URL before it. Call it first in the transaction. While
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
/// [`ErrorKind::Stale`] when the lease is over: the transaction is aborted, and can only be rolled back. Those of the server.
///
/// # Cancel safety
/// Dropped half-way, the transaction is in an unknown state: roll it back.
pub async fn check_in(transaction: &Transaction<'_>, name: &str, token: FencingToken) -> Result<()> {
    let arguments = [name.as_bytes().to_vec()];
    let typed = CHECK_IN.types.iter().cloned();
    let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&arguments[0], &token.as_i64()];
    let typed: Vec<_> = arguments.into_iter().zip(typed).collect();
    let checked = transaction.query_typed(&CHECK_IN.text, &typed).await;
    checked.map(drop).map_err(|error| match error.code().map(|code| code.code()) {
        Some("LH001") => {
            let message = format!("the lease of fencing token {token} is over");
            Error::new(ErrorKind::Stale, message).hint("roll back, and stop the work of this holder")
        }
        _ => explain(&error),
    })
}

/// The statement of [`check_in`], for other clients of PostgreSQL: bind the bytes of the name, and
/// [`FencingToken::as_i64`]. It fails with SQLSTATE `LH001`.
pub fn check_in_statement() -> &'static str {
    &CHECK_IN.text
}
