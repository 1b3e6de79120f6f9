//! [`Shop`]: a stock and its orders in an SQLite file. It has no lock of its own, but can check fencing tokens.

use std::{error::Error, path::Path, time::Duration};

use anyhow::{Context, Result};
use leasehold::{
    FencingToken,
    fencing::{Stale, sqlite::SqlHighWaterMark},
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Time limit for a write that waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The resource that the fencing tokens protect.
const RESOURCE: &str = "stock";

/// The connection of one process to the shop.
#[derive(Debug)]
pub(super) struct Shop(Connection);

/// The result of an access with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Accepted. The stock that was read, or replaced.
    Stock(i64),
    /// The token `fence` was presented, and the shop has seen the higher one `mark`.
    Refused { fence: u64, mark: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count {
    pub(super) orders: i64,
    pub(super) remaining: i64,
}

impl Shop {
    pub(super) fn create(path: &Path, stock: u32) -> Result<Shop> {
        let shop = Shop::open(path)?;
        SqlHighWaterMark::create(&shop.0)?;
        shop.0.execute_batch(include_str!("../../../sql/demo/schema.sql"))?;
        shop.0.execute(include_str!("../../../sql/demo/fill_stock.sql"), [stock])?;
        Ok(shop)
    }

    pub(super) fn open(path: &Path) -> Result<Shop> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // The file lives for seconds and need not survive a power failure.
            connection.pragma_update(None, "synchronous", "off")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        open().map(Shop).with_context(|| format!("cannot open the shop {}", path.display()))
    }

    /// Reads the stock. With a token the shop is claimed first: from then on it refuses lower tokens.
    pub(super) fn read(&mut self, token: Option<FencingToken>) -> Result<Access> {
        let Some(token) = token else { return Ok(Access::Stock(read_stock(&self.0)?)) };
        let transaction = self.begin()?;
        if let Some(refused) = refusal(Some(SqlHighWaterMark::claim(&transaction, RESOURCE, token)))? {
            return Ok(refused);
        }
        let stock = read_stock(&transaction)?;
        transaction.commit()?;
        Ok(Access::Stock(stock))
    }

    /// Writes stock and order in one transaction, in which a token is checked. Answers the stock that was overwritten.
    pub(super) fn sell(&mut self, worker: u32, read: i64, token: Option<FencingToken>) -> Result<Access> {
        let transaction = self.begin()?;
        let fenced = token.map(|token| SqlHighWaterMark::admit(&transaction, RESOURCE, token));
        if let Some(refused) = refusal(fenced)? {
            return Ok(refused);
        }
        let found = read_stock(&transaction)?;
        transaction.execute(include_str!("../../../sql/demo/write_stock.sql"), [read - 1])?;
        let values = (worker, token.map(FencingToken::as_i64));
        transaction.execute(include_str!("../../../sql/demo/insert_order.sql"), values)?;
        transaction.commit()?;
        Ok(Access::Stock(found))
    }

    pub(super) fn count(&self) -> Result<Count> {
        let read = |row: &rusqlite::Row<'_>| Ok(Count { orders: row.get(0)?, remaining: row.get(1)? });
        Ok(self.0.query_row(include_str!("../../../sql/demo/count.sql"), [], read)?)
    }

    /// `SET name NX EX`: returns whether the naive lock was free.
    pub(super) fn naive_lock(&self, now_ns: u64, expires_ns: u64) -> Result<bool> {
        let values = ("shop", now_ns as i64, expires_ns as i64);
        let changed = self.0.execute(include_str!("../../../sql/demo/naive_lock.sql"), values)?;
        Ok(changed == 1)
    }

    /// `DEL name`.
    pub(super) fn naive_unlock(&self) -> Result<()> {
        self.0.execute(include_str!("../../../sql/demo/naive_unlock.sql"), ["shop"])?;
        Ok(())
    }

    fn begin(&mut self) -> Result<Transaction<'_>> {
        Ok(self.0.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

/// The refusal, if a higher token that the shop has seen is the reason of the error.
fn refusal(fenced: Option<leasehold::Result<()>>) -> Result<Option<Access>> {
    let Some(Err(error)) = fenced else { return Ok(None) };
    match Error::source(&error).and_then(|source| source.downcast_ref::<Stale>()) {
        Some(Stale { presented, highest }) => {
            Ok(Some(Access::Refused { fence: presented.get(), mark: highest.get() }))
        }
        None => Err(error.into()),
    }
}

fn read_stock(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(include_str!("../../../sql/demo/read_stock.sql"), [], |row| row.get(0))
}
