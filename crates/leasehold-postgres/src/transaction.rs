//! [`PostgresTransaction`]: a transaction of one of the clients of PostgreSQL.

use std::future::Future;

use leasehold_core::Result;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{column, explain};

/// An argument of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameter<'a> {
    /// A `bytea`.
    Bytes(&'a [u8]),
    /// A `text`.
    Text(&'a str),
    /// A `bigint`.
    Number(i64),
}

/// A transaction of one of the clients of PostgreSQL: `&Transaction` or `&mut Transaction` of `tokio-postgres`, and with the
/// feature `sqlx` `&mut Transaction` of `sqlx`. Implement it for others: one statement, whose SQLSTATE `LH001` is an error of
/// the kind [`Stale`](leasehold_core::ErrorKind).
pub trait PostgresTransaction: Send {
    /// Runs a statement with these arguments in this order, and answers the first column of its first row, a `bigint`.
    ///
    /// # Errors
    /// Those of the server: the transaction is aborted, and can only be rolled back.
    fn run(
        &mut self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
    ) -> impl Future<Output = Result<Option<i64>>> + Send;
}

impl PostgresTransaction for &tokio_postgres::Transaction<'_> {
    async fn run(&mut self, statement: &'static str, parameters: &[Parameter<'_>]) -> Result<Option<i64>> {
        let mut arguments: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
        for parameter in parameters {
            arguments.push(match parameter {
                Parameter::Bytes(bytes) => (bytes, Type::BYTEA),
                Parameter::Text(text) => (text, Type::TEXT),
                Parameter::Number(number) => (number, Type::INT8),
            });
        }
        let rows = self.query_typed(statement, &arguments).await.map_err(|error| explain(&error))?;
        rows.first().map(|row| column(row, 0)).transpose()
    }
}

impl PostgresTransaction for &mut tokio_postgres::Transaction<'_> {
    async fn run(&mut self, statement: &'static str, parameters: &[Parameter<'_>]) -> Result<Option<i64>> {
        (&**self).run(statement, parameters).await
    }
}

#[cfg(feature = "sqlx")]
impl PostgresTransaction for &mut sqlx::Transaction<'_, sqlx::Postgres> {
    async fn run(&mut self, statement: &'static str, parameters: &[Parameter<'_>]) -> Result<Option<i64>> {
        use sqlx::Row;
        let mut query = sqlx::query(statement).persistent(false);
        for parameter in parameters {
            query = match parameter {
                Parameter::Bytes(bytes) => query.bind(*bytes),
                Parameter::Text(text) => query.bind(*text),
                Parameter::Number(number) => query.bind(*number),
            };
        }
        let row = query.fetch_optional(&mut ***self).await.map_err(|error| refused_by_sqlx(&error))?;
        row.map(|row| row.try_get(0)).transpose().map_err(|error| refused_by_sqlx(&error))
    }
}

#[cfg(feature = "sqlx")]
fn refused_by_sqlx(error: &sqlx::Error) -> leasehold_core::Error {
    match error.as_database_error().and_then(|answer| Some((answer.code()?, answer.message()))) {
        Some((code, message)) => crate::error::answered(&code, message),
        None => {
            leasehold_core::Error::new(leasehold_core::ErrorKind::Unreachable, error.to_string()).unknown()
        }
    }
}
