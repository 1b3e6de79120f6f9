//! The verbs: each is a function of a transaction, without I/O beside it.

use leasehold_core::{LockName, Result};
use rusqlite::params;

use crate::{format::watch_seq, txn::Txn};

mod claim;
mod inspect;
mod list;
mod release;
mod renew;

pub(crate) use claim::claim;
pub(crate) use inspect::inspect;
pub(crate) use list::list;
pub(crate) use release::{end_own_session, force_release, reap, release};
pub(crate) use renew::renew;

/// Subscribes this store's session to the changes of a lock.
pub(crate) fn watch(txn: &mut Txn<'_>, name: &LockName) -> Result<()> {
    let Some(session) = txn.session else { return Ok(()) };
    let row = params![name.as_str(), watch_seq(session), session as i64];
    txn.execute(include_str!("../sql/watch.sql"), row)
}

/// Ends the subscription to the changes of a lock.
pub(crate) fn unwatch(txn: &mut Txn<'_>, name: &LockName) -> Result<()> {
    match txn.session {
        Some(session) => txn.delete(name, watch_seq(session)),
        None => Ok(()),
    }
}
