//! [`release`] and every other way in which holds end before their time.

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::{format::watch_seq, lock_record::LockRecord, session::Liveness, txn::Txn};

/// Ends a hold or a wait.
pub(crate) fn release(txn: &mut Txn<'_>, claim: &Claim) -> Result<Release> {
    let mut record = LockRecord::load(txn, &claim.name)?;
    let release = record.state.release(claim.id, txn.now);
    record.save(txn, Some(claim.id))?;
    Ok(release)
}

/// Ends every hold of a lock, and raises its token.
pub(crate) fn force_release(txn: &mut Txn<'_>, name: &LockName) -> Result<Vec<Contender>> {
    let mut record = LockRecord::load(txn, name)?;
    let evicted = record.state.force_release(txn.now);
    txn.next_token(None)?;
    record.save(txn, None)?;
    Ok(evicted)
}

/// Ends everything bound to the session of a dead process.
pub(crate) fn reap(txn: &mut Txn<'_>, session: u64) -> Result<()> {
    // Checked again: at the first check the file may have been in the making, before its lock.
    if txn.liveness(session, false) == Liveness::Dead {
        end_session(txn, session)?;
        txn.after.reaped.push(session);
    }
    Ok(())
}

/// Ends everything bound to this store's session, and its claiming.
pub(crate) fn end_own_session(txn: &mut Txn<'_>) -> Result<()> {
    match txn.sessions.retire() {
        Some(session) => end_session(txn, session),
        None => Ok(()),
    }
}

fn end_session(txn: &mut Txn<'_>, session: u64) -> Result<()> {
    for name in txn.lock_names(include_str!("../../sql/names_of_session.sql"), [session as i64])? {
        txn.delete(&name, watch_seq(session))?;
        let mut record = LockRecord::load(txn, &name)?;
        record.end_session(session, txn.now);
        record.save(txn, None)?;
    }
    Ok(())
}
