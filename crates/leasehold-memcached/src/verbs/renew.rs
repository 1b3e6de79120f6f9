//! The operation `renew`: a hold that is alone in its item is extended in place, which needs no memory.

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, LostReason, Renewal, Result, decide::lock_state::LockState};

use crate::{
    client::{ATTEMPTS_MAX, Client, whole_seconds},
    error::too_contended,
    format::SPAN_END,
    keys::LockKeys,
    lock_record::LockRecord,
    own_claims::Hold,
    txn::{Updated, Written},
};

/// The number of claims that are renewed at the same time; their requests are sent together.
const BATCH_MAX: usize = 128;

impl Client {
    pub(crate) async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let mut answers = Vec::with_capacity(claims.len());
        for chunk in claims.chunks(BATCH_MAX) {
            answers.extend(join_all(chunk.iter().map(|claim| self.renew_one(claim))).await);
        }
        answers
    }

    async fn renew_one(&self, claim: &Claim) -> Result<Renewal> {
        let claim = &whole_seconds(claim)?;
        let keys = &LockKeys::of(&claim.name);
        let mut record = match self.extendable(claim).await? {
            None => self.record(keys).await?,
            Some(hold) => match self.extend(keys, hold.cas, claim.ttl.as_secs() + hold.delay).await? {
                Written::Done(now) => return Ok(self.renewed(claim, &now)),
                Written::Conflict(now) => now,
            },
        };
        for _ in 0..ATTEMPTS_MAX {
            let renew = |state: &mut LockState, now| Ok(state.renew(claim, now));
            record = match self.update(keys, record, Some(claim.id), renew).await? {
                Updated::Done(Renewal::Renewed { .. }, record) => return Ok(self.renewed(claim, &record)),
                Updated::Done(gone, _) => {
                    self.holds.forget(claim.id);
                    return Ok(gone);
                }
                Updated::Foreign(_) => {
                    self.holds.forget(claim.id);
                    return Ok(Renewal::Gone(LostReason::Gone));
                }
                Updated::NoRoom(_, full, record) => {
                    match self.renew_without_room(keys, claim, &record, full).await? {
                        Written::Done(now) => return Ok(self.renewed(claim, &now)),
                        Written::Conflict(now) => now,
                    }
                }
            };
        }
        Err(too_contended())
    }

    /// The answer from the record after the write; another client may have ended the hold in the same moment.
    fn renewed(&self, claim: &Claim, record: &LockRecord) -> Renewal {
        self.remember(claim.id, record);
        match record.held_by(claim.id) {
            Some((own, entry)) => Renewal::Renewed { valid_for: record.valid_for(own, entry) },
            None => Renewal::Gone(LostReason::Gone),
        }
    }

    /// The hold of a claim if it can be extended in place, by one request.
    async fn extendable(&self, claim: &Claim) -> Result<Option<Hold>> {
        let lasts_longer = |hold: &Hold| hold.until <= self.env.now() + claim.ttl;
        let Some(hold) = self.holds.get(claim.id).filter(|hold| hold.in_place && lasts_longer(hold)) else {
            return Ok(None);
        };
        let compares = self.transport.server().await?.compares;
        Ok(compares.then_some(hold))
    }

    /// The memory is full. An entry that is alone in its item can be extended in place; only this client knows its token
    /// then.
    async fn renew_without_room(
        &self,
        keys: &LockKeys,
        claim: &Claim,
        record: &LockRecord,
        full: Error,
    ) -> Result<Written> {
        let Some((own, entry)) = record.held_by(claim.id) else { return Err(full) };
        // A renewal that would not last longer changes nothing, and has not come to here.
        if own.document.entries().len() > 1 || own.end != SPAN_END || !record.server.compares {
            return Err(full);
        }
        self.remember(claim.id, record);
        self.extend(keys, own.cas, claim.ttl.as_secs() + entry.lock_delay.as_secs()).await
    }
}
