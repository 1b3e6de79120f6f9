//! The operation `renew`: a hold that is alone in its item is extended in place, which needs no memory.

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Renewal, Result};

use crate::{
    client::{ATTEMPTS_MAX, Client, whole_seconds},
    error::{refused, too_contended},
    format::SPAN_END,
    keys::LockKeys,
    lock_record::{LockRecord, Stored},
    txn::{Change, Updated, Written},
};

/// The number of claims that are renewed at the same time; their requests are sent together.
const BATCH_MAX: usize = 128;

/// The result of an attempt to extend in place.
enum InPlace {
    Answered(Renewal),
    /// Not possible; the record if it is known.
    Impossible(Option<LockRecord>),
}

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
        let mut record = match self.renew_in_place(keys, claim).await? {
            InPlace::Answered(renewal) => return Ok(renewal),
            InPlace::Impossible(Some(record)) => record,
            InPlace::Impossible(None) => self.record(keys).await?,
        };
        let decide = |record: &LockRecord| {
            let Stored::Own(own) = &record.stored else { return Change::Keep(None) };
            let before = own.unexpired();
            let mut after = before.clone();
            match after.renew(claim, own.now) {
                gone @ Renewal::Gone(_) => Change::Keep(Some(gone)),
                _ if after.entries() == before.entries() => Change::Keep(None),
                _ => Change::Write(after.entries().to_vec(), None),
            }
        };
        for _ in 0..ATTEMPTS_MAX {
            record = match self.update(keys, record, Some(claim.id), decide).await? {
                Updated::Done(Some(gone), _) => {
                    self.holds.forget(claim.id);
                    return Ok(gone);
                }
                Updated::Done(None, record) => return Ok(self.renewed(claim, &record)),
                Updated::NoRoom(why, full) => {
                    match self.renew_without_room(keys, claim, &full, &why).await? {
                        Written::Done(now) => return Ok(self.renewed(claim, &now)),
                        Written::Conflict(now) => now,
                        Written::NoRoom(why) => return Err(refused(&why)),
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

    /// One request.
    async fn renew_in_place(&self, keys: &LockKeys, claim: &Claim) -> Result<InPlace> {
        let Some(hold) = self.holds.get(claim.id).filter(|hold| hold.in_place) else {
            return Ok(InPlace::Impossible(None));
        };
        let shortens = hold.until > self.env.now() + claim.ttl;
        if shortens || !self.transport.server(self.options.timeout).await?.compares {
            return Ok(InPlace::Impossible(None));
        }
        match self.extend(keys, hold.cas, claim.ttl.as_secs() + hold.delay).await? {
            Written::Done(now) => Ok(InPlace::Answered(self.renewed(claim, &now))),
            Written::Conflict(now) => Ok(InPlace::Impossible(Some(now))),
            Written::NoRoom(why) => Err(refused(&why)),
        }
    }

    /// The memory is full. An entry that is alone in its item can be extended in place; only this client knows its token
    /// then.
    async fn renew_without_room(
        &self,
        keys: &LockKeys,
        claim: &Claim,
        record: &LockRecord,
        why: &str,
    ) -> Result<Written> {
        let Some((own, entry)) = record.held_by(claim.id) else {
            return Ok(Written::NoRoom(why.to_string()));
        };
        if own.document.entries().len() > 1 || own.end != SPAN_END || !record.server.compares {
            return Ok(Written::NoRoom(why.to_string()));
        }
        self.remember(claim.id, record);
        let ttl = claim.ttl.as_secs().max(entry.expires.since(own.now).as_secs());
        self.extend(keys, own.cas, ttl + entry.lock_delay.as_secs()).await
    }
}
