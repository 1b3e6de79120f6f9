//! [`SqlHighWaterMark`]: fencing in your own SQLite database, in your own transaction.

pub use rusqlite;

use leasehold_core::{Error, ErrorKind, FencingToken, Result};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{Stale, statements::SQLITE};

/// The high-water marks of resources that live in an SQLite database, in the table `leasehold_fencing` beside them.
///
/// Every call wants an open transaction (which derefs to the [`Connection`]), so that the check commits together with
/// the write that it admits. On an error, drop the transaction: it rolls back.
///
/// ```
/// use leasehold::{FencingToken, fencing::sqlite::SqlHighWaterMark};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ledger = rusqlite::Connection::open_in_memory()?;
/// SqlHighWaterMark::create(&ledger)?;
/// let token = FencingToken::new(42)?;                   // of the guard
/// let transaction = ledger.transaction()?;
/// SqlHighWaterMark::claim(&transaction, "account/7", token)?;    // first the claim …
/// let balance = 100;                                    // … then read
/// transaction.commit()?;
/// let transaction = ledger.transaction()?;
/// SqlHighWaterMark::admit(&transaction, "account/7", token)?;    // check and write commit together
/// transaction.execute("CREATE TABLE account AS SELECT ?1 AS balance", [balance - 30])?;
/// transaction.commit()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SqlHighWaterMark;

impl SqlHighWaterMark {
    /// Makes the table. Repeating it does nothing.
    ///
    /// # Errors
    /// Those of SQLite, as [`ErrorKind::Rejected`].
    pub fn create(connection: &Connection) -> Result<()> {
        connection.execute_batch(SQLITE.create).map_err(|source| refused("create", source))
    }

    /// Step 1, in the transaction of the first read and before it: raises the mark.
    ///
    /// # Errors
    /// [`ErrorKind::Stale`] when a later holder was here, [`ErrorKind::Unsafe`] outside of a transaction; those of SQLite,
    /// as [`ErrorKind::Rejected`].
    pub fn claim(transaction: &Connection, resource: &str, token: FencingToken) -> Result<()> {
        if change(transaction, SQLITE.claim, resource, token)? {
            return Ok(());
        }
        match highest(transaction, resource)? {
            Some(highest) => Err(Stale { presented: token, highest }.into()),
            None => Err(Error::new(ErrorKind::Corrupt, "the mark has vanished")),
        }
    }

    /// Steps 2 and 3, in the transaction of the write and before it.
    ///
    /// # Errors
    /// As [`SqlHighWaterMark::claim`]; [`ErrorKind::Invalid`] when nobody has ever claimed the resource.
    pub fn admit(transaction: &Connection, resource: &str, token: FencingToken) -> Result<()> {
        if change(transaction, SQLITE.write_guard, resource, token)? {
            return Ok(());
        }
        match highest(transaction, resource)? {
            Some(highest) => Err(Stale { presented: token, highest }.into()),
            None => Err(Error::new(ErrorKind::Invalid, "nobody has claimed this resource")
                .hint("call SqlHighWaterMark::claim before the first read")),
        }
    }
}

fn change(transaction: &Connection, sql: &str, resource: &str, token: FencingToken) -> Result<bool> {
    if transaction.is_autocommit() {
        let message = "there is no open transaction: the check and the write would not commit together";
        return Err(Error::new(ErrorKind::Unsafe, message).hint("begin a transaction and pass it"));
    }
    let mut statement = transaction.prepare_cached(sql).map_err(|source| refused("fence", source))?;
    let changed = statement.execute(named_params! { ":resource": resource, ":token": token.as_i64() });
    changed.map(|rows| rows > 0).map_err(|source| refused("fence", source))
}

fn highest(transaction: &Connection, resource: &str) -> Result<Option<FencingToken>> {
    let mut statement =
        transaction.prepare_cached(SQLITE.highest).map_err(|source| refused("fence", source))?;
    let number = statement
        .query_row(named_params! { ":resource": resource }, |row| row.get::<_, i64>(0))
        .optional()
        .map_err(|source| refused("fence", source))?;
    number.map(|number| FencingToken::new(u64::try_from(number).unwrap_or_default())).transpose()
}

fn refused(verb: &'static str, source: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Rejected, source.to_string()).verb(verb).source(source)
}
