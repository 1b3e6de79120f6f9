//! The verb `renew`: a hold that is alone is prolonged in place, which needs no memory.

use futures_util::future::join_all;
use leasehold_core::{Claim, LostReason, Renewal, Result};

use crate::{
    client::{ClientState, TRIES, too_contended, whole_seconds},
    format::SPAN_END,
    lock_record::{LockKeys, LockRecord, OwnDocument, Stored, refused},
    txn::Written,
};

/// So many are renewed side by side; their packets are sent together.
const BATCH_MAX: usize = 128;

impl ClientState {
    pub(crate) async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let mut answers = Vec::with_capacity(claims.len());
        for chunk in claims.chunks(BATCH_MAX) {
            answers.extend(join_all(chunk.iter().map(|claim| self.renew_one(claim))).await);
        }
        answers
    }

    async fn renew_one(&self, claim: &Claim) -> Result<Renewal> {
        self.refuse_closed()?;
        let claim = &whole_seconds(claim)?;
        let place = &LockKeys::of(&claim.name);
        let mut look = match self.renew_in_place(place, claim).await? {
            Ok(renewal) => return Ok(renewal),
            Err(Some(look)) => look,
            Err(None) => self.look(place).await?,
        };
        for tries in 0..TRIES {
            let Stored::Own(ours) = &look.found else { break };
            let mut document = ours.document.clone();
            document.expire(ours.now);
            let before = document.entries().to_vec();
            let renewal = document.renew(claim, ours.now);
            if let Renewal::Gone(_) = renewal {
                self.holds.forget(claim.id);
                return Ok(renewal);
            }
            if document.entries() == before {
                return Ok(self.renewed(claim, &look));
            }
            let entries = document.entries().to_vec();
            let written = match self.write(place, &look, ours, entries, Some(claim.id)).await? {
                Written::NoRoom(why) => self.without_room(place, claim, &look, ours, &why).await?,
                written => written,
            };
            look = match written {
                Written::Done(now) => return Ok(self.renewed(claim, &now)),
                Written::Conflict(now) => now,
                Written::NoRoom(why) => return Err(refused(&why)),
            };
            self.back_off(tries).await;
            if tries + 1 == TRIES {
                return Err(too_contended());
            }
        }
        self.holds.forget(claim.id);
        Ok(Renewal::Gone(LostReason::Gone))
    }

    /// What has been written is answered as it is found; somebody may have ended it in the same moment.
    fn renewed(&self, claim: &Claim, look: &LockRecord) -> Renewal {
        self.note(claim.id, look);
        match look.held_by(claim.id) {
            Some((ours, entry)) => Renewal::Renewed { valid_for: look.valid_for(ours, entry) },
            None => Renewal::Gone(LostReason::Gone),
        }
    }

    /// One packet. `Err` when it cannot be done so, with what is there if that is known.
    async fn renew_in_place(
        &self,
        place: &LockKeys,
        claim: &Claim,
    ) -> Result<std::result::Result<Renewal, Option<LockRecord>>> {
        let Some(hold) = self.holds.get(claim.id).filter(|hold| hold.in_place) else { return Ok(Err(None)) };
        // It would be shortened.
        let shortens = hold.until > self.env.now() + claim.ttl;
        if shortens || !self.node.server(self.options.timeout).await?.compares {
            return Ok(Err(None));
        }
        match self.prolong(place, hold.cas, claim.ttl.as_secs() + hold.delay).await? {
            Written::Done(now) => Ok(Ok(self.renewed(claim, &now))),
            Written::Conflict(now) => Ok(Err(Some(now))),
            Written::NoRoom(why) => Err(refused(&why)),
        }
    }

    /// The memory is full. What is alone in its item needs none to live on; its token is known to us alone then.
    async fn without_room(
        &self,
        place: &LockKeys,
        claim: &Claim,
        look: &LockRecord,
        ours: &OwnDocument,
        why: &str,
    ) -> Result<Written> {
        let entry = match ours.document.entries() {
            [entry] if ours.end == SPAN_END && look.server.compares => entry,
            _ => return Ok(Written::NoRoom(why.to_string())),
        };
        self.note(claim.id, look);
        let lives = claim.ttl.as_secs().max(entry.expires.since(ours.now).as_secs());
        self.prolong(place, ours.cas, lives + entry.lock_delay.as_secs()).await
    }
}
