//! [`Waiters`]: the subscriptions of this process, and the rows by which other processes wake them.

use std::sync::atomic::{AtomicI64, Ordering};

use leasehold_core::{
    ClaimId, LockName, Result,
    store_kit::{self, Topic},
};

use crate::{error::from_sqlite, txn::Txn};

/// The subscriptions of this process. Each keeps the count of wake-ups that it saw last in its lock's row.
pub(crate) type Waiters = store_kit::Waiters<Topic, AtomicI64>;

/// The topics that other processes have marked as woken for this session, each with its count of wake-ups.
pub(crate) fn woken(txn: &Txn<'_>, session: u64) -> Result<Vec<(Topic, i64)>> {
    let mut statement = txn.prepare(include_str!("../sql/woken.sql"))?;
    let mut rows = statement.query([session as i64]).map_err(from_sqlite)?;
    let mut woken = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let topic = if row.get::<_, i64>(1).map_err(from_sqlite)? < 0 {
            Topic::Changes(LockName::new(row.get::<_, String>(0).map_err(from_sqlite)?)?)
        } else {
            let id = u128::from_be_bytes(row.get(2).map_err(from_sqlite)?);
            Topic::Claim(ClaimId::from_bits(id))
        };
        woken.push((topic, row.get(3).map_err(from_sqlite)?));
    }
    Ok(woken)
}

/// Wakes the subscriptions of a topic that was marked as woken. The row of a watched lock stays marked, so only a new
/// count is news.
pub(crate) fn wake(waiters: &Waiters, topic: &Topic, count: i64) {
    match topic {
        Topic::Claim(_) => waiters.wake(topic),
        Topic::Changes(_) => waiters.wake_if(topic, |seen| seen.swap(count, Ordering::AcqRel) != count),
    }
}
