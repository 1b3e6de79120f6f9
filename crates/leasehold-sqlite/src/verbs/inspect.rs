//! [`inspect`]: a lock as it is now, read without writing.

use leasehold_core::{FencingToken, LockName, Result, Snapshot, store_kit::Topic};

use crate::{lock_record::LockRecord, session::Liveness, txn::Txn, waiters::Waiters};

/// The state of a lock. Dead sessions are left out, though their rows are there; a lock-delay of theirs begins with the
/// first claim that finds them, and is whole until then. If this process watches
/// the lock, the ends of its sessions will be reported: a watcher looks again after each change, and so learns of the end
/// of every holder.
pub(crate) fn inspect(txn: &mut Txn<'_>, waiters: &Waiters, name: &LockName) -> Result<Snapshot> {
    let mut record = LockRecord::load(txn, name)?;
    let fence = FencingToken::new(txn.last_token()?).ok().filter(|fence| fence.get() > 0);
    record.state.expire(txn.now);
    let watched = waiters.has(&Topic::Changes(name.clone()));
    for session in record.sessions() {
        if txn.liveness(session, watched) == Liveness::Dead {
            record.end_session(session, txn.now);
        }
    }
    let (holders, waiters) = record.state.contenders(txn.now);
    Ok(Snapshot { name: record.name, holders, waiters, fence, members: Vec::new() })
}
