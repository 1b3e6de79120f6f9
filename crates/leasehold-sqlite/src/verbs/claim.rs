//! [`claim`]: asks for a lock.

use leasehold_core::{Claim, Result, Standing, store_kit::ClientState};

use crate::{lock_record::LockRecord, txn::Txn};

/// Answers a claim. When dead sessions block it, they are ended and it is decided again. With `watched`, the ends of
/// the sessions that block it will be reported even if it does not wait.
pub(crate) fn claim(txn: &mut Txn<'_>, claim: &Claim, watched: bool) -> Result<Standing> {
    if txn.session.is_none() {
        // Closed since the claim was sent.
        return Err(ClientState::closed_error());
    }
    let mut record = LockRecord::load(txn, &claim.name)?;
    let standing = loop {
        let draw = |floor| txn.next_token(floor).map(Some);
        let standing = record.state.claim(claim, txn.session, txn.now, draw)?;
        let waits = matches!(standing, Standing::Waiting(_));
        let refused = waits || matches!(standing, Standing::Held(_) | Standing::Mismatch { .. });
        if !refused || !record.reap_dead_blockers(txn, claim.id, waits || watched) {
            break standing;
        }
    };
    if let (Standing::Granted(grant), Some(_)) = (&standing, claim.fence_floor)
        && let Some(fence) = grant.fence
    {
        txn.raise_token(fence)?;
    }
    record.save(txn, Some(claim.id))?;
    Ok(standing)
}
