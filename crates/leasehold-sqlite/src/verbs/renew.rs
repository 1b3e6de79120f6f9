//! [`renew`]: prolongs a hold.

use leasehold_core::{Claim, Renewal, Result};

use crate::{lock_record::LockRecord, txn::Txn};

/// Prolongs a hold; never makes one.
pub(crate) fn renew(txn: &mut Txn<'_>, claim: &Claim) -> Result<Renewal> {
    let mut record = LockRecord::load(txn, &claim.name)?;
    let renewal = record.state.renew(claim, txn.now);
    record.save(txn, Some(claim.id))?;
    Ok(renewal)
}
