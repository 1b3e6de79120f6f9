//! The operations `release` and `force_release`.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Claim, Contender, LockName, Moment, Release, Result, decide::lock_state::LockState};

use crate::{
    client::{ATTEMPTS_MAX, Client},
    error::too_contended,
    keys::LockKeys,
    lock_record::foreign,
    txn::{Updated, Written},
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
                let server = self.transport.server().await?;
                match self.delete(keys, hold.cas, &server).await? {
                    Written::Done(_) => {
                        self.holds.forget(claim.id);
                        return Ok(Release::Released);
                    }
                    Written::Conflict(record) => record,
                }
            }
            _ => self.record(keys).await?,
        };
        let release = |state: &mut LockState, now| Ok(state.release(claim.id, now));
        let answer = match self.update(keys, record, None, release).await? {
            Updated::Done(answer, _) => answer,
            Updated::Foreign(_) => Release::NotHeld,
            Updated::NoRoom(_, full, _) => return Err(full),
        };
        self.holds.forget(claim.id);
        Ok(answer)
    }

    /// Evicts all holders, those of other libraries too.
    pub(crate) async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let keys = &LockKeys::of(name);
        let mut record = self.record(keys).await?;
        for _ in 0..ATTEMPTS_MAX {
            let server = record.server.clone();
            let force_release = |state: &mut LockState, now| Ok(state.force_release(now));
            let item = match self.update(keys, record, None, force_release).await? {
                Updated::Done(evicted, _) => return Ok(evicted),
                Updated::Foreign(item) => item,
                Updated::NoRoom(_, full, _) => return Err(full),
            };
            record = match self.delete(keys, item.cas, &server).await? {
                Written::Done(_) => return Ok(vec![foreign(&item)]),
                Written::Conflict(now) => now,
            };
        }
        Err(too_contended())
    }
}

async fn release_late_delivery(client: Arc<Client>, claim: Claim, until: Moment) {
    let mut pause = PAUSE_MIN;
    // An error does not end it: the server may be unreachable for a moment.
    while client.env.now() < until && client.state.check_open().is_ok() {
        client.env.sleep(pause).await;
        if let Ok(Release::Released) = client.release_once(&claim).await {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
