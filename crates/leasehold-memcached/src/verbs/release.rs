//! The verbs `release` and `force_release`.

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::{
    client::{ClientState, TRIES, too_contended},
    lock_record::{LockKeys, LockRecord, Stored, foreign, refused},
    txn::Written,
};

impl ClientState {
    /// One packet when nobody else was in the document.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<Release> {
        let place = &LockKeys::of(&claim.name);
        let mut look = match self.holds.get(claim.id) {
            Some(hold) if hold.sole => {
                let server = self.node.server(self.options.timeout).await?;
                match self.delete(place, hold.cas, &server).await? {
                    Written::Done(_) => {
                        self.holds.forget(claim.id);
                        return Ok(Release::Released);
                    }
                    Written::Conflict(look) => look,
                    Written::NoRoom(why) => return Err(refused(&why)),
                }
            }
            _ => self.look(place).await?,
        };
        for tries in 0..TRIES {
            let Stored::Own(ours) = &look.found else { break };
            let mut document = ours.document.clone();
            document.expire(ours.now);
            let before = document.entries().to_vec();
            let answer = document.release(claim.id, ours.now);
            if document.entries() == before {
                break;
            }
            match self.write(place, &look, ours, document.entries().to_vec(), None).await? {
                Written::Done(_) => {
                    self.holds.forget(claim.id);
                    return Ok(answer);
                }
                Written::Conflict(now) => look = now,
                Written::NoRoom(why) => return Err(refused(&why)),
            }
            self.back_off(tries).await;
            if tries + 1 == TRIES {
                return Err(too_contended());
            }
        }
        self.holds.forget(claim.id);
        Ok(Release::NotHeld)
    }

    /// Throws out whoever holds, strangers too.
    pub(crate) async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let place = &LockKeys::of(name);
        let mut look = self.look(place).await?;
        for tries in 0..TRIES {
            match self.evict(place, &look).await? {
                Ok(evicted) => return Ok(evicted),
                Err(now) => look = now,
            }
            self.back_off(tries).await;
        }
        Err(too_contended())
    }

    async fn evict(
        &self,
        place: &LockKeys,
        look: &LockRecord,
    ) -> Result<std::result::Result<Vec<Contender>, LockRecord>> {
        let (evicted, written) = match &look.found {
            Stored::Free => return Ok(Ok(Vec::new())),
            Stored::Foreign(item) => (vec![foreign(item)], self.delete(place, item.cas, &look.server).await?),
            Stored::Own(ours) => {
                let mut document = ours.document.clone();
                let evicted = document.force_release(ours.now);
                if evicted.is_empty() {
                    return Ok(Ok(evicted));
                }
                let entries = document.entries().to_vec();
                (evicted, self.write(place, look, ours, entries, None).await?)
            }
        };
        match written {
            Written::Done(_) => Ok(Ok(evicted)),
            Written::Conflict(now) => Ok(Err(now)),
            Written::NoRoom(why) => Err(refused(&why)),
        }
    }
}
