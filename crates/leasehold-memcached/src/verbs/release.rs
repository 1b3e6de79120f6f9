//! The operations `release` and `force_release`.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Claim, Contender, LockName, Moment, Release, Result};

use crate::{
    client::Client,
    error::refused,
    keys::LockKeys,
    lock_record::{LockRecord, Stored, foreign},
    txn::{Change, Updated, Written},
};

/// The pause before the first repetition of a release in doubt; each further pause is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Client {
    /// Releases a claim. A claim in doubt may still be delivered after its release, by a connection that was given up,
    /// and the server has no way to refuse it: such a release is repeated in the background until it finds the late hold,
    /// or none can arrive any more.
    pub(crate) async fn release(self: &Arc<Self>, claim: &Claim) -> Result<Release> {
        let answer = self.release_once(claim).await?;
        if let Some(until) = self.in_doubt.take(claim.id, self.env.now()) {
            self.env.spawn(release_late_delivery(self.clone(), claim.clone(), until));
        }
        Ok(answer)
    }

    /// One request when the item had no other entry.
    async fn release_once(&self, claim: &Claim) -> Result<Release> {
        let keys = &LockKeys::of(&claim.name);
        let record = match self.holds.get(claim.id) {
            Some(hold) if hold.sole => {
                let server = self.transport.server(self.options.timeout).await?;
                match self.delete(keys, hold.cas, &server).await? {
                    Written::Done(_) => {
                        self.holds.forget(claim.id);
                        return Ok(Release::Released);
                    }
                    Written::Conflict(record) => record,
                    Written::NoRoom(why) => return Err(refused(&why)),
                }
            }
            _ => self.record(keys).await?,
        };
        let decide = |record: &LockRecord| {
            let Stored::Own(own) = &record.stored else { return Change::Keep(Release::NotHeld) };
            let before = own.unexpired();
            let mut after = before.clone();
            let answer = after.release(claim.id, own.now);
            match after.entries() == before.entries() {
                true => Change::Keep(Release::NotHeld),
                false => Change::Write(after.entries().to_vec(), answer),
            }
        };
        let answer = done(self.update(keys, record, None, decide).await?)?;
        self.holds.forget(claim.id);
        Ok(answer)
    }

    /// Evicts all holders, those of other libraries too.
    pub(crate) async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let keys = &LockKeys::of(name);
        let record = self.record(keys).await?;
        let decide = |record: &LockRecord| match &record.stored {
            Stored::Free => Change::Keep(Vec::new()),
            Stored::Foreign(item) => Change::Delete(item.cas, vec![foreign(item)]),
            Stored::Own(own) => {
                let mut document = own.document.clone();
                let evicted = document.force_release(own.now);
                match evicted.is_empty() {
                    true => Change::Keep(evicted),
                    false => Change::Write(document.entries().to_vec(), evicted),
                }
            }
        };
        done(self.update(keys, record, None, decide).await?)
    }
}

fn done<T>(updated: Updated<T>) -> Result<T> {
    match updated {
        Updated::Done(answer, _) => Ok(answer),
        Updated::NoRoom(why, _) => Err(refused(&why)),
    }
}

async fn release_late_delivery(client: Arc<Client>, claim: Claim, until: Moment) {
    let mut pause = PAUSE_MIN;
    // An error does not end it: the server may be unreachable for a moment.
    while client.env.now() < until && client.check_open().is_ok() {
        client.env.sleep(pause).await;
        if let Ok(Release::Released) = client.release_once(&claim).await {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
