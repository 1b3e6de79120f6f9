//! What follows the entering transaction: leases, promotion, changes in place, and leaving again.

use std::sync::atomic::Ordering;

use leasehold_core::{Drift, Mode, Queueing, Result, Stance, Standing};

use super::{Attempt, ClaimLeases, Progress, whole_seconds};
use crate::{
    format::{State, Value},
    leases::Lease,
    queue::Queue,
    transport::{Refused, locked},
    txn::{created, delete, none_since, present, put, unchanged},
};

impl Attempt<'_> {
    /// The leases of a claim: those it has, spare ones, or new ones.
    pub(super) async fn leases_of_claim(&self) -> Result<ClaimLeases> {
        let seconds = whole_seconds(self.claim.ttl);
        let known = locked(&self.slot.known).clone();
        if let Some(place) = known.lease.filter(|lease| lease.lives >= seconds) {
            let delay = match (known.delay, self.claim.lock_delay.is_zero()) {
                (Some(delay), _) => Some(delay),
                (None, true) => None,
                (None, false) => Some(self.delay_lease(place.lives).await?),
            };
            return Ok(ClaimLeases { place, delay, is_fresh: false });
        }
        if let Some(place) = self.client.leases.spare(seconds)
            && self.claim.lock_delay.is_zero()
        {
            // One that was renewed a moment ago is as good as new, within what the clocks may differ by.
            let is_fresh = place.age(self.client.env.now()) <= Drift::TWO_CLOCKS.of(self.claim.ttl) / 2;
            return Ok(ClaimLeases { place, delay: None, is_fresh });
        }
        let place = self.client.leases.grant(seconds).await?;
        let delay =
            if self.claim.lock_delay.is_zero() { None } else { Some(self.delay_lease(place.lives).await?) };
        Ok(ClaimLeases { place, delay, is_fresh: delay.is_none() })
    }

    /// What keeps the lock shut lives for the lock-delay longer.
    async fn delay_lease(&self, lives: u64) -> Result<Lease> {
        self.client.leases.grant(lives + whole_seconds(self.claim.lock_delay)).await
    }

    /// Renews them; `None` when the place's is gone.
    pub(super) async fn renew(&self, leases: ClaimLeases) -> Result<Option<ClaimLeases>> {
        let all = &self.client.leases;
        let Some(place) = all.keep(leases.place).await? else { return Ok(None) };
        // After it: where the place has gone, the delay runs, and is not to be prolonged.
        let delay = match leases.delay {
            Some(delay) => match all.keep(delay).await? {
                Some(delay) => Some(delay),
                None => return Ok(None),
            },
            None => None,
        };
        let mut known = locked(&self.slot.known);
        (known.lease, known.delay) = (Some(place), delay);
        Ok(Some(ClaimLeases { place, delay, is_fresh: false }))
    }

    /// Takes over the leases that a place lives by already, and renews them; `None` when they are gone.
    pub(super) async fn adopt(&self, queue: &Queue, at: usize) -> Result<Option<ClaimLeases>> {
        let entry = &queue.entries[at];
        let Some(value) = &entry.value else { return Ok(None) };
        let known = locked(&self.slot.known).clone();
        let lease = |id: i64, seconds: u64| {
            let ours = [known.lease, known.delay].into_iter().flatten().find(|lease| lease.id == id);
            ours.unwrap_or(Lease { id, seconds, lives: seconds, until: self.client.env.now() })
        };
        let place = lease(entry.lease, value.lease_s);
        let delay = entry.delay.map(|id| lease(id, value.lease_s + value.delay_s));
        let adopted = self.renew(ClaimLeases { place, delay, is_fresh: false }).await?;
        if adopted.is_none() {
            self.drop_leases();
        }
        Ok(adopted)
    }

    /// Brings a place into the state that the claim asks for, and answers its standing.
    pub(super) async fn settle(&self, queue: Queue, at: usize, leases: ClaimLeases) -> Result<Progress> {
        let entry = &queue.entries[at];
        let Some(stored) = entry.value.clone() else { return Ok(Progress::Again) };
        {
            let mut known = locked(&self.slot.known);
            known.create = entry.create;
            known.held |= entry.stance == Stance::Holding;
        }
        let is_held = entry.stance == Stance::Holding;
        let wall_us = self.client.env.wall_us();
        if is_held && !queue.may_become(at, self.claim.mode) {
            return Ok(Progress::TxnResult(Standing::Held(queue.busy(self.claim, wall_us))));
        }
        let is_granted = is_held || queue.grants(self.claim);
        if !is_granted && self.claim.queueing == Queueing::No {
            let busy = queue.busy(self.claim, wall_us);
            self.leave().await?;
            return Ok(Progress::TxnResult(Standing::Held(busy)));
        }
        let leases = self.stretched(leases).await?;
        let (state, fence) = if is_granted {
            (State::Held, self.fence_of(&queue, at, is_held))
        } else {
            (State::Waiting, None)
        };
        let since_us = if stored.state == state { stored.since_us } else { wall_us };
        let wanted = self.value(&leases, state, fence, since_us);
        if wanted == stored && leases.place.id == entry.lease && leases.delay.map(|it| it.id) == entry.delay {
            return if is_granted {
                self.granted(&queue, at, &leases)
            } else {
                Ok(Progress::TxnResult(Standing::Waiting(queue.busy(self.claim, wall_us))))
            };
        }
        self.rewrite(queue, at, leases, wanted).await
    }

    /// Longer-lived leases where the claim's time to live has grown, or its delay has come or gone.
    async fn stretched(&self, leases: ClaimLeases) -> Result<ClaimLeases> {
        let seconds = whole_seconds(self.claim.ttl);
        let (mut place, mut delay) = (leases.place, leases.delay);
        if place.lives < seconds {
            place = self.client.leases.grant(seconds).await?;
        }
        let wanted = whole_seconds(self.claim.lock_delay);
        match (wanted, delay) {
            (0, _) => delay = None,
            (_, Some(has)) if has.lives >= place.lives + wanted => {}
            _ => delay = Some(self.delay_lease(place.lives).await?),
        }
        Ok(ClaimLeases { place, delay, is_fresh: leases.is_fresh })
    }

    /// The token that has to be written, where it is not the revision that made the key.
    fn fence_of(&self, queue: &Queue, at: usize, is_held: bool) -> Option<u64> {
        let entry = &queue.entries[at];
        let create = u64::try_from(entry.create).unwrap_or_default();
        // Of one that holds it stays what it is; a new one is above all that was raised.
        let token = if is_held { queue.token(entry) } else { create.saturating_add(queue.raised.0) };
        let is_new = !is_held || self.is_new.load(Ordering::Relaxed);
        let proposal = self.claim.fence_proposal.filter(|_| is_new);
        let floor = self.claim.fence_floor.max(proposal).map_or(0, |floor| floor.get());
        let stored = entry.value.as_ref().and_then(|value| value.fence);
        let is_plain = stored.is_none() && token.max(floor) == create && queue.raised.0 == 0;
        (!is_plain).then_some(token.max(floor))
    }

    async fn rewrite(
        &self,
        queue: Queue,
        at: usize,
        leases: ClaimLeases,
        mut wanted: Value,
    ) -> Result<Progress> {
        let entry = &queue.entries[at];
        let (id, keys) = (self.claim.id, &self.keys);
        let create = u64::try_from(entry.create).unwrap_or_default();
        if wanted.state == State::Held && wanted.fence.is_none() && entry.stance == Stance::Holding {
            // Whatever is raised from now on, its token stays.
            wanted.fence = Some(create);
        }
        let mut compare = vec![
            created(keys.place(id), entry.create),
            unchanged(keys.place(id), entry.modified),
            unchanged(keys.fence(), queue.raised.1),
        ];
        if entry.mode() == Mode::Shared && self.claim.mode == Mode::Exclusive {
            // Nobody has come, and nobody has left: a reader whose way was freed meanwhile may enter already.
            compare.push(none_since(keys.range(), queue.revision));
            let others = queue.entries.iter().filter(|other| other.id != Some(id));
            compare.extend(others.map(|other| created(other.key.clone(), other.create)));
        }
        let mut success = vec![put(keys.place(id), wanted.write(), leases.place.id)];
        match leases.delay {
            Some(delay) => {
                let state = if wanted.state == State::Held { State::Armed } else { State::Idle };
                success.push(put(keys.delay(id), Value { state, ..wanted.clone() }.write(), delay.id));
            }
            None => success.push(delete(keys.delay(id))),
        }
        if let Some(raised) = wanted.fence.map(|fence| fence.saturating_sub(create))
            && raised > queue.raised.0
        {
            success.push(put(keys.fence(), raised.to_string().into_bytes(), 0));
        }
        let reads = crate::client::ClientState::reads(keys, id);
        success.extend(reads.clone());
        {
            let mut known = locked(&self.slot.known);
            (known.lease, known.delay, known.in_doubt) = (Some(leases.place), leases.delay, true);
        }
        let done = match self.client.transact(keys, compare, success, reads.into()).await {
            Ok(done) => done,
            Err(Refused::NoLease) => {
                self.drop_leases();
                return Ok(Progress::Again);
            }
            Err(Refused::Error(error)) => return Err(error),
        };
        locked(&self.slot.known).in_doubt = false;
        match done.queue.find(id) {
            Some(at) if done.succeeded => self.standing(&done.queue, at, &leases),
            _ => Ok(Progress::Again),
        }
    }

    fn standing(&self, queue: &Queue, at: usize, leases: &ClaimLeases) -> Result<Progress> {
        if queue.entries[at].stance == Stance::Holding {
            return self.granted(queue, at, leases);
        }
        Ok(Progress::TxnResult(Standing::Waiting(queue.busy(self.claim, self.client.env.wall_us()))))
    }

    /// Gives up a place that must not be.
    pub(super) async fn leave(&self) -> Result<()> {
        let (id, keys) = (self.claim.id, &self.keys);
        let reads = crate::client::ClientState::reads(keys, id);
        let success = [delete(keys.place(id)), delete(keys.delay(id))].into_iter().chain(reads.clone());
        let compare = vec![present(keys.place(id))];
        self.client.transact(keys, compare, success.collect(), reads.into()).await?;
        let known = std::mem::take(&mut *locked(&self.slot.known));
        self.give_back(known.lease, known.delay);
        Ok(())
    }

    /// The leases of this try are not needed.
    pub(super) fn return_leases(&self, leases: &ClaimLeases) {
        let mut known = locked(&self.slot.known);
        (known.lease, known.delay) = (None, None);
        drop(known);
        self.give_back(Some(leases.place), leases.delay);
    }

    fn give_back(&self, place: Option<Lease>, delay: Option<Lease>) {
        if let Some(place) = place {
            self.client.leases.give_back(place);
        }
        if let Some(delay) = delay {
            self.client.leases.discard(delay.id);
        }
    }

    /// The leases of this claim are gone, and what lived by them.
    pub(super) fn drop_leases(&self) {
        let mut known = locked(&self.slot.known);
        let is_detached = known.is_detached;
        *known = crate::own_claims::ClaimState { is_detached, ..Default::default() };
    }
}
