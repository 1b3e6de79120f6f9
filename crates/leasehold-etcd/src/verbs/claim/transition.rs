//! The steps after the entering transaction: leases, promotion, changes in place, and leaving again.

use std::time::Duration;

use leasehold_core::{Drift, Grant, Mode, Queueing, Result, Stance, Standing};

use super::{Attempt, whole_seconds};
use crate::{
    format::{State, Value},
    leases::{ClaimLeases, Lease},
    own_claims::ClaimState,
    protocol::RequestOp,
    queue::Queue,
    txn::{created, delete, none_since, only_if, present, put, unchanged},
};

impl Attempt<'_> {
    /// The leases for a claim: its own, a spare one, or new ones; and whether they were granted or renewed just now.
    pub(super) async fn obtain_leases(&self) -> Result<(ClaimLeases, bool)> {
        let seconds = whole_seconds(self.claim.ttl);
        let own = self.own.state.lock().leases.filter(|leases| leases.place.lives >= seconds);
        if let Some(ClaimLeases { place, delay }) = own {
            let delay = if delay.is_some() { delay } else { self.delay_lease(place.lives).await? };
            return Ok((ClaimLeases { place, delay }, false));
        }
        if let Some(place) = self.client.leases.spare(seconds)
            && self.claim.lock_delay.is_zero()
        {
            // One that was renewed a moment ago is as good as new, within the drift of the clocks.
            let is_fresh = place.age(self.client.env.now()) <= Drift::TWO_CLOCKS.of(self.claim.ttl) / 2;
            return Ok((ClaimLeases { place, delay: None }, is_fresh));
        }
        let place = self.client.leases.grant(seconds).await?;
        let delay = self.delay_lease(place.lives).await?;
        Ok((ClaimLeases { place, delay }, delay.is_none()))
    }

    /// A lease that lives longer than the place by the lock-delay, if the claim has one.
    async fn delay_lease(&self, lives: u64) -> Result<Option<Lease>> {
        match whole_seconds(self.claim.lock_delay) {
            0 => Ok(None),
            delay => self.client.leases.grant(lives + delay).await.map(Some),
        }
    }

    /// Renews the leases; `None` when one of them is gone.
    pub(super) async fn renew(&self, leases: ClaimLeases) -> Result<Option<ClaimLeases>> {
        let kept = self.client.leases.keep_both(leases).await?;
        let kept = kept.filter(|kept| kept.delay.is_some() == leases.delay.is_some());
        if kept.is_some() {
            self.own.state.lock().leases = kept;
        }
        Ok(kept)
    }

    /// Takes over the leases that a place already lives by, and renews them; `None` when they are gone.
    pub(super) async fn adopt(&self, queue: &Queue, at: usize) -> Result<Option<ClaimLeases>> {
        let entry = &queue.entries[at];
        let Some(value) = &entry.value else { return Ok(None) };
        let found = |id, seconds| Lease::found(id, seconds, self.client.env.now());
        let place = found(entry.lease, value.lease_s);
        let delay = entry.delay.map(|id| found(id, value.lease_s + value.delay_s));
        let adopted = self.renew(ClaimLeases { place, delay }).await?;
        if adopted.is_none() {
            self.drop_leases();
        }
        Ok(adopted)
    }

    /// Brings a place into the state that the claim asks for, and answers its standing.
    pub(super) async fn settle(
        &self,
        queue: Queue,
        at: usize,
        leases: ClaimLeases,
    ) -> Result<Option<Standing>> {
        let entry = &queue.entries[at];
        let Some(stored) = &entry.value else { return Ok(None) };
        let is_held = entry.stance == Stance::Holding;
        {
            let mut state = self.own.state.lock();
            (state.create, state.place) = (entry.create, Some(entry.key.clone()));
            state.held |= is_held;
            state.waits_as = (!is_held).then_some(stored.mode);
        }
        let wall_us = self.client.env.wall_us();
        if is_held && !queue.may_become(at, self.claim.mode) {
            return Ok(Some(Standing::Held(queue.busy(self.claim, wall_us))));
        }
        let is_granted = is_held || queue.grants(self.claim);
        if !is_granted && self.claim.queueing == Queueing::No {
            let busy = queue.busy(self.claim, wall_us);
            self.leave().await?;
            return Ok(Some(Standing::Held(busy)));
        }
        let leases = self.stretched(leases).await?;
        let (state, fence) = if is_granted {
            (State::Held, self.token_to_write(&queue, at, is_held))
        } else {
            (State::Waiting, None)
        };
        let since_us = if stored.state == state { stored.since_us } else { wall_us };
        let wanted = Value { id: stored.id, ..self.value(&leases, state, fence, since_us) };
        let has_leases = leases.place.id == entry.lease && leases.delay.map(|it| it.id) == entry.delay;
        if wanted == *stored && has_leases {
            return self.standing(&queue, at, &leases);
        }
        self.rewrite(queue, at, leases, wanted).await
    }

    /// Longer-lived leases where the claim's time to live has grown, or its delay was added or removed.
    async fn stretched(&self, leases: ClaimLeases) -> Result<ClaimLeases> {
        let seconds = whole_seconds(self.claim.ttl);
        let mut place = leases.place;
        if place.lives < seconds {
            place = self.client.leases.grant(seconds).await?;
        }
        let delay_s = whole_seconds(self.claim.lock_delay);
        let delay = match leases.delay.filter(|delay| delay_s > 0 && delay.lives >= place.lives + delay_s) {
            Some(delay) => Some(delay),
            None => self.delay_lease(place.lives).await?,
        };
        Ok(ClaimLeases { place, delay })
    }

    /// The token that has to be written, where it is not the revision that created the key.
    fn token_to_write(&self, queue: &Queue, at: usize, is_held: bool) -> Option<u64> {
        let entry = &queue.entries[at];
        let create = u64::try_from(entry.create).unwrap_or_default();
        // That of a hold stays the same; a new one is above every raised token.
        let token = if is_held { queue.token(entry) } else { create.saturating_add(queue.raised.0) };
        let is_new = !is_held || self.is_new;
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
    ) -> Result<Option<Standing>> {
        let entry = &queue.entries[at];
        let (id, keys) = (self.claim.id, &self.own.keys);
        if wanted.state == State::Held && wanted.fence.is_none() && entry.stance == Stance::Holding {
            // Its token stays, whatever is raised from now on.
            wanted.fence = Some(u64::try_from(entry.create).unwrap_or_default());
        }
        let mut compare = vec![
            created(entry.key.clone(), entry.create),
            unchanged(entry.key.clone(), entry.modified),
            unchanged(keys.fence(), queue.raised.1),
        ];
        if entry.mode() == Mode::Shared && self.claim.mode == Mode::Exclusive {
            // No key was added or deleted: a reader that could enter meanwhile may do so already.
            compare.push(none_since(keys.range(), queue.revision));
            let others = queue.entries.iter().filter(|other| other.id != Some(id));
            compare.extend(others.map(|other| created(other.key.clone(), other.create)));
        }
        self.own.state.lock().leases = Some(leases);
        let Some(done) = self.transact(compare, self.writes(&queue, at, &leases, &wanted)).await? else {
            return Ok(self.start_over());
        };
        match done.queue.find(id) {
            Some(at) if done.succeeded => self.standing(&done.queue, at, &leases),
            _ => Ok(None),
        }
    }

    /// The writes of a change in place: the claim's keys, and the fence key when the token is above it.
    fn writes(&self, queue: &Queue, at: usize, leases: &ClaimLeases, wanted: &Value) -> Vec<RequestOp> {
        let create = u64::try_from(queue.entries[at].create).unwrap_or_default();
        let mut writes = self.puts(queue.entries[at].key.clone(), leases, wanted);
        if leases.delay.is_none() {
            writes.push(delete(self.own.keys.delay(self.claim.id)));
        }
        let raised = wanted.fence.map(|fence| fence.saturating_sub(create));
        if let Some(raised) = raised.filter(|raised| *raised > queue.raised.0) {
            writes.push(put(self.own.keys.fence(), raised.to_string().into_bytes(), 0));
        }
        writes
    }

    fn standing(&self, queue: &Queue, at: usize, leases: &ClaimLeases) -> Result<Option<Standing>> {
        // A place that waited and is granted was written as a hold, so it holds here.
        if queue.entries[at].stance == Stance::Holding {
            let fence = queue.fence(&queue.entries[at])?;
            // Only the certain part, counted from before anything was sent.
            let valid_for = leases.place.until.since(self.begin).min(Duration::from_secs(leases.place.lives));
            return Ok(Some(Standing::Granted(Grant::lasting(Some(fence), valid_for))));
        }
        Ok(Some(Standing::Waiting(queue.busy(self.claim, self.client.env.wall_us()))))
    }

    /// Gives up a place that must not stay.
    pub(super) async fn leave(&self) -> Result<()> {
        let (id, keys) = (self.claim.id, &self.own.keys);
        let deletes = vec![delete(keys.place(id)), delete(keys.delay(id))];
        self.client.txn(only_if(vec![present(keys.place(id))], deletes)).await?;
        let leases = self.own.state.lock().leases;
        leases.into_iter().for_each(|leases| self.give_back(leases));
        self.drop_leases();
        Ok(())
    }

    /// Gives back leases that the claim does not need. While a request may still arrive that names them they are revoked.
    pub(super) fn give_back(&self, leases: ClaimLeases) {
        let in_doubt = {
            let mut state = self.own.state.lock();
            state.leases = None;
            state.in_doubt
        };
        match in_doubt {
            true => leases.all().for_each(|lease| self.client.leases.discard(lease.id)),
            false => self.client.leases.give_back(leases),
        }
    }

    /// Tries again with other leases: those of this try are gone, and the keys that lived by them.
    pub(super) fn start_over(&self) -> Option<Standing> {
        self.drop_leases();
        None
    }

    fn drop_leases(&self) {
        let mut state = self.own.state.lock();
        let (client_key, ClaimState { is_detached, in_doubt, .. }) = (state.client_key.take(), &*state);
        *state = ClaimState {
            is_detached: *is_detached,
            in_doubt: *in_doubt,
            client_key,
            ..ClaimState::default()
        };
    }
}
