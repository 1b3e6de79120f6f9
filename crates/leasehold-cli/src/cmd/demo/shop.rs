//! [`Shop`]: a stock and its orders in an SQLite file of their own. Knows nothing of locks, but may check tokens.

use std::{error::Error, path::Path, time::Duration};

use anyhow::{Context, Result};
use leasehold::{
    FencingToken,
    fencing::{Stale, sqlite::SqlHighWaterMark},
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// How long a write waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// What the fencing tokens protect.
const RESOURCE: &str = "stock";

/// One process's connection to the shop.
#[derive(Debug)]
pub(crate) struct Shop {
    connection: Connection,
}

/// What became of a look at the stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    /// So many items are left.
    Stock(i64),
    /// A higher token has been there.
    Refused {
        /// The highest.
        mark: u64,
    },
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sale {
    /// It was written, and the stock over this one.
    Written {
        /// The stock that was overwritten.
        found: i64,
    },
    /// A higher token has been there.
    Refused {
        /// The highest.
        mark: u64,
    },
}

/// What the shop has, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    /// Orders taken.
    pub(crate) orders: i64,
    /// Items left.
    pub(crate) remaining: i64,
}

impl Shop {
    /// Makes a new shop with a full shelf.
    pub(crate) fn create(path: &Path, stock: u32) -> Result<Shop> {
        let shop = Shop::open(path)?;
        SqlHighWaterMark::create(&shop.connection)?;
        shop.connection.execute_batch(include_str!("../../../sql/demo/schema.sql"))?;
        shop.connection.execute(include_str!("../../../sql/demo/fill_stock.sql"), [stock])?;
        Ok(shop)
    }

    /// Opens a shop.
    pub(crate) fn open(path: &Path) -> Result<Shop> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // The shop lives for seconds: that it survives a power cut is not worth the wait for the disk.
            connection.pragma_update(None, "synchronous", "off")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().with_context(|| format!("cannot open the shop {}", path.display()))?;
        Ok(Shop { connection })
    }

    /// Reads how many items are left.
    pub(crate) fn stock(&self) -> Result<i64> {
        Ok(read_stock(&self.connection)?)
    }

    /// Writes stock and order, whoever has been there since the stock was read.
    /// Answers the stock that was overwritten.
    pub(crate) fn sell(&mut self, worker: u32, read: i64) -> Result<i64> {
        let transaction = self.begin()?;
        let found = write_sale(&transaction, worker, read, None)?;
        transaction.commit()?;
        Ok(found)
    }

    /// Presents the token and reads how many items are left: whoever has a lower token is too late from now on.
    pub(crate) fn claim(&mut self, token: FencingToken) -> Result<Reading> {
        let transaction = self.begin()?;
        if let Some(mark) = refusal(SqlHighWaterMark::claim(&transaction, RESOURCE, token))? {
            return Ok(Reading::Refused { mark });
        }
        let stock = read_stock(&transaction)?;
        transaction.commit()?;
        Ok(Reading::Stock(stock))
    }

    /// Presents the token again and writes stock and order: in one transaction, so that nobody comes in between.
    pub(crate) fn sell_fenced(&mut self, worker: u32, read: i64, token: FencingToken) -> Result<Sale> {
        let transaction = self.begin()?;
        if let Some(mark) = refusal(SqlHighWaterMark::admit(&transaction, RESOURCE, token))? {
            return Ok(Sale::Refused { mark });
        }
        let found = write_sale(&transaction, worker, read, Some(token.get()))?;
        transaction.commit()?;
        Ok(Sale::Written { found })
    }

    /// Counts.
    pub(crate) fn count(&self) -> Result<Count> {
        let read = |row: &rusqlite::Row<'_>| Ok(Count { orders: row.get(0)?, remaining: row.get(1)? });
        Ok(self.connection.query_row(include_str!("../../../sql/demo/count.sql"), [], read)?)
    }

    /// `SET name NX EX`: whether the naive lock was free.
    pub(crate) fn naive_lock(&self, now_ns: u64, expires_ns: u64) -> Result<bool> {
        let values = ("shop", now_ns as i64, expires_ns as i64);
        let changed = self.connection.execute(include_str!("../../../sql/demo/naive_lock.sql"), values)?;
        Ok(changed == 1)
    }

    /// `DEL name`.
    pub(crate) fn naive_unlock(&self) -> Result<()> {
        self.connection.execute(include_str!("../../../sql/demo/naive_unlock.sql"), ["shop"])?;
        Ok(())
    }

    fn begin(&mut self) -> Result<Transaction<'_>> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

/// The highest token that the shop has seen, if that is why it refuses.
fn refusal(answer: leasehold::Result<()>) -> Result<Option<u64>> {
    let Err(error) = answer else { return Ok(None) };
    match Error::source(&error).and_then(|source| source.downcast_ref::<Stale>()) {
        Some(stale) => Ok(Some(stale.highest.get())),
        None => Err(error.into()),
    }
}

fn read_stock(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(include_str!("../../../sql/demo/read_stock.sql"), [], |row| row.get(0))
}

/// Answers the stock that it overwrote.
fn write_sale(shop: &Connection, worker: u32, read: i64, fence: Option<u64>) -> rusqlite::Result<i64> {
    let found = read_stock(shop)?;
    shop.execute(include_str!("../../../sql/demo/write_stock.sql"), [read - 1])?;
    shop.execute(include_str!("../../../sql/demo/insert_order.sql"), (worker, fence.map(|it| it as i64)))?;
    Ok(found)
}

#[cfg(test)]
mod tests;
