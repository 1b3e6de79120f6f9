//! The claim: one transaction that enters the queue and reads it, and the steps that follow from the answer.

mod transition;

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, Error, ErrorKind, Intent, LostReason, Moment, Outcome, Queueing, Result, Stance, Standing,
};

use crate::{
    client::{Client, TxnResult},
    format::{State, Value},
    leases::ClaimLeases,
    own_claims::OwnClaim,
    protocol::{Compare, KeyValue, RequestOp, TxnRequest},
    queue::{Entry, Queue},
    txn::{absent, created, delete, get, nested, none_before, none_in, none_since, only_if, put, unchanged},
};

/// A try fails when another client changed the queue meanwhile, or a lease had ended.
const TRIES_MAX: usize = 64;

/// The state of one claim that is being answered.
struct Attempt<'a> {
    client: &'a Client,
    claim: &'a Claim,
    own: &'a OwnClaim,
    begin: Moment,
    /// The first transaction was answered.
    has_entered: bool,
    /// This attempt made the hold: only a new grant carries the proposed token.
    is_new: bool,
}

pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Answers a claim.
pub(crate) async fn claim(client: &Client, claim: &Claim, own: Arc<OwnClaim>) -> Result<Standing> {
    let _exclusive = client.exclude_verbs(&own).await?;
    client.state.check_open()?;
    let begin = client.env.now();
    let mut attempt = Attempt { client, claim, own: &own, begin, has_entered: false, is_new: false };
    let until = begin + client.options.timeout * 2;
    for _ in 0..TRIES_MAX {
        let standing = match claim.intent {
            Intent::Hold => attempt.hold().await,
            Intent::Amend => attempt.amend().await,
        };
        // After the first transaction there may be a place, whatever fails.
        let standing = standing.map_err(|error| if attempt.has_entered { error.unknown() } else { error })?;
        if let Some(standing) = standing {
            attempt.remember(&standing);
            return Ok(standing);
        }
        if client.env.now() > until {
            break;
        }
    }
    let message = "other clients were faster every time";
    Err(Error::new(ErrorKind::TimedOut, message).hint("try again: the lock is in great demand").unknown())
}

/// Each step answers `None` when something has changed meanwhile, and the claim is to be tried again.
impl Attempt<'_> {
    /// Finds the hold, makes one, or queues up.
    async fn hold(&mut self) -> Result<Option<Standing>> {
        let (leases, is_fresh) = self.obtain_leases().await?;
        {
            let mut state = self.own.state.lock();
            state.leases = Some(leases);
            state.bind(self.claim.binding);
        }
        let waits_since = self.waits_since();
        let ask = async {
            match waits_since {
                Some(create) => self.promote(&leases, create).await,
                None => self.enter(&leases).await,
            }
        };
        let (entered, renewed) = match is_fresh {
            true => (ask.await, Ok(Some(leases))),
            false => tokio::join!(ask, self.renew(leases)),
        };
        let Some(done) = entered? else { return Ok(self.start_over()) };
        if waits_since.is_some() && done.queue.find(self.claim.id).is_none() {
            // Its place is gone, and it may queue up again.
            self.own.state.lock().waits_as = None;
            return Ok(None);
        }
        self.has_entered = true;
        let holds = |at: usize| done.queue.entries[at].stance == Stance::Holding;
        self.is_new |= done.succeeded && done.queue.find(self.claim.id).is_some_and(holds);
        match renewed? {
            Some(leases) => self.answer(done, leases).await,
            // The keys that lived by them are gone, too.
            None => Ok(self.start_over()),
        }
    }

    /// Changes an existing hold.
    async fn amend(&self) -> Result<Option<Standing>> {
        let (keys, gone) = (&self.own.keys, |reason| Ok(Some(Standing::Gone(reason))));
        let done = self.client.transact(keys, self.claim.id, Vec::new(), Vec::new()).await?;
        let Some(TxnResult { queue, is_revoked, .. }) = done else { return Ok(None) };
        let Some(at) = queue.find(self.claim.id) else {
            return gone(if is_revoked { LostReason::ForceReleased } else { LostReason::Gone });
        };
        match queue.entries[at].stance {
            Stance::Waiting => return gone(LostReason::Gone),
            Stance::Delaying => return gone(LostReason::Expired),
            Stance::Holding => {}
        }
        match self.adopt(&queue, at).await? {
            Some(leases) => self.settle(queue, at, leases).await,
            None => gone(LostReason::Expired),
        }
    }

    /// Continues from the result of the entering transaction.
    async fn answer(&mut self, done: TxnResult, leases: ClaimLeases) -> Result<Option<Standing>> {
        let Some(at) = done.queue.find(self.claim.id) else {
            return self.outside(done, leases).await;
        };
        let entry = &done.queue.entries[at];
        if entry.stance == Stance::Delaying {
            self.give_back(leases);
            return Ok(Some(Standing::Gone(LostReason::Expired)));
        }
        if entry.stance == Stance::Waiting && done.is_revoked {
            // It waited here, by this client, and held in the key of another.
            self.leave().await?;
            return Ok(Some(Standing::Gone(LostReason::ForceReleased)));
        }
        if entry.stance == Stance::Waiting
            && let Some(limit) = done.queue.mismatch(self.claim)
        {
            self.leave().await?;
            return Ok(Some(Standing::Mismatch { limit }));
        }
        if entry.lease == leases.place.id {
            return self.settle(done.queue, at, leases).await;
        }
        // It lives by another lease: another client has made it, or it had a shorter time to live.
        self.give_back(leases);
        match self.adopt(&done.queue, at).await? {
            Some(leases) => self.settle(done.queue, at, leases).await,
            None => Ok(None),
        }
    }

    /// Answers a claim without a place: it does not queue, or was released by force.
    async fn outside(&mut self, done: TxnResult, leases: ClaimLeases) -> Result<Option<Standing>> {
        let standing = if done.is_revoked {
            Standing::Gone(LostReason::ForceReleased)
        } else if let Some(limit) = done.queue.mismatch(self.claim) {
            Standing::Mismatch { limit }
        } else if done.queue.grants(self.claim) {
            return self.join(done.queue, leases).await;
        } else if self.client.await_expiry(done.queue.blockers(self.claim.id)).await? {
            return Ok(None);
        } else {
            Standing::Held(done.queue.busy(self.claim, self.client.env.wall_us()))
        };
        self.give_back(leases);
        Ok(Some(standing))
    }

    /// The entering transaction: the first claim of all holds at once, others queue up if they want to. Where nobody was last
    /// time, these ask twice.
    async fn enter(&self, leases: &ClaimLeases) -> Result<Option<TxnResult>> {
        let (client, keys, id) = (self.client, &self.own.keys, self.claim.id);
        let mut success = self.first_puts(leases);
        let first: Vec<KeyValue> =
            success.iter().filter_map(|op| op.put.clone()).map(KeyValue::from).collect();
        success.push(get(keys.fence()));
        let compare = vec![none_in(keys.range()), absent(keys.revoked(id))];
        let queues_up = self.claim.queueing != Queueing::No && client.keys.expects_others(&self.claim.name);
        let failure = match queues_up {
            true => vec![nested(self.queue_up(leases))],
            false => Client::reading(keys, id, Vec::new(), Vec::new()).failure,
        };
        let request = TxnRequest { compare, success, failure };
        let Some(answer) = self.send(client.txn_on_lease(request)).await? else { return Ok(None) };
        client.keys.found_others(&self.claim.name, !answer.succeeded);
        if answer.succeeded {
            return Ok(Some(TxnResult::first(keys, first, answer)));
        }
        self.return_client_key();
        let found = TxnResult::read(keys, answer);
        if !queues_up && (self.claim.queueing == Queueing::No || self.is_answered_by(&found)) {
            return Ok(Some(found));
        }
        let found = match queues_up {
            true => found,
            false => match self.send(client.txn_on_lease(self.queue_up(leases))).await? {
                Some(answer) => TxnResult::read(keys, answer),
                None => return Ok(None),
            },
        };
        self.with_one_place(found).await
    }

    /// Whether there is no need to queue up in this lock.
    fn is_answered_by(&self, found: &TxnResult) -> bool {
        let queue = &found.queue;
        let is_there = found.is_revoked || queue.find(self.claim.id).is_some();
        is_there || queue.mismatch(self.claim).is_some() || queue.grants(self.claim)
    }

    /// Takes a place back in which the claim queued up though it holds already, in the key of another client. `None` when that
    /// has changed since.
    async fn with_one_place(&self, mut found: TxnResult) -> Result<Option<TxnResult>> {
        let keys = &self.own.keys;
        let is_own = |entry: &&Entry| entry.id == Some(self.claim.id);
        let Some(second) = found.queue.entries.iter().filter(is_own).nth(1) else { return Ok(Some(found)) };
        let mut compare = vec![unchanged(second.key.clone(), second.modified)];
        let mut deletes = vec![delete(second.key.clone())];
        if second.delay.is_some() {
            compare.push(created(keys.delay(self.claim.id), second.create));
            deletes.push(delete(keys.delay(self.claim.id)));
        }
        let second = second.key.clone();
        if !self.client.txn(only_if(compare, deletes)).await.map_err(Error::unknown)?.succeeded {
            return Ok(None);
        }
        found.queue.entries.retain(|entry| entry.key != second);
        found.succeeded = false;
        Ok(Some(found))
    }

    /// The transaction by which a claim queues up that has no place yet.
    fn queue_up(&self, leases: &ClaimLeases) -> TxnRequest {
        let puts = match self.claim.queueing {
            Queueing::No => Vec::new(),
            Queueing::Barging | Queueing::Fifo => self.new_puts(leases, State::Waiting),
        };
        Client::reading(&self.own.keys, self.claim.id, self.no_place(), puts)
    }

    /// Gives back the key of this client, unless a request may still arrive that writes it.
    fn return_client_key(&self) {
        let mut state = self.own.state.lock();
        let is_certain = !state.in_doubt;
        state.client_key.take_if(|_| is_certain).iter().for_each(|key| key.give_back());
    }

    /// The revision that created the place in which the claim waits with this mode, where a grant would give that as its token.
    fn waits_since(&self) -> Option<i64> {
        let (claim, state) = (self.claim, self.own.state.lock());
        let is_plain = claim.fence_floor.max(claim.fence_proposal).is_none();
        (is_plain && state.waits_as == Some(claim.mode)).then_some(state.create)
    }

    /// Holds after waiting, if nobody is before it. A claim that was granted behind it is one that its mode admits.
    async fn promote(&self, leases: &ClaimLeases, create: i64) -> Result<Option<TxnResult>> {
        let keys = &self.own.keys;
        let place = unchanged(keys.place(self.claim.id), create);
        let compare = vec![place, none_before(keys.range(), create), absent(keys.fence())];
        self.transact(compare, self.new_puts(leases, State::Held)).await
    }

    /// Holds beside the present holders, if nothing has changed since they were read.
    async fn join(&mut self, queue: Queue, leases: ClaimLeases) -> Result<Option<Standing>> {
        let mut compare = self.no_place();
        compare.push(none_since(self.own.keys.range(), queue.revision));
        let Some(done) = self.transact(compare, self.new_puts(&leases, State::Held)).await? else {
            return Ok(self.start_over());
        };
        match done.queue.find(self.claim.id) {
            Some(at) if done.succeeded => {
                self.is_new = true;
                self.settle(done.queue, at, leases).await
            }
            _ => Ok(None),
        }
    }

    /// The claim has neither a place nor a delay, and was not released by force.
    fn no_place(&self) -> Vec<Compare> {
        let (id, keys) = (self.claim.id, &self.own.keys);
        [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent).into()
    }

    /// [`Client::transact`] with writes that name the leases of this claim.
    async fn transact(&self, compare: Vec<Compare>, success: Vec<RequestOp>) -> Result<Option<TxnResult>> {
        self.send(self.client.transact(&self.own.keys, self.claim.id, compare, success)).await
    }

    /// Sends what names the leases of this claim.
    async fn send<T>(&self, request: impl Future<Output = Result<Option<T>>>) -> Result<Option<T>> {
        let before = std::mem::replace(&mut self.own.state.lock().in_doubt, true);
        let done = request.await;
        // An earlier request whose answer was lost may still arrive.
        let is_certain = match &done {
            Ok(done) => done.is_some(),
            Err(error) => error.outcome() == Outcome::NotApplied,
        };
        if is_certain {
            self.own.state.lock().in_doubt = before;
        }
        done
    }

    /// Writes the hold of a claim that finds nobody, in the key of this client. One with a delay has a place of its own
    /// beside that.
    fn first_puts(&self, leases: &ClaimLeases) -> Vec<RequestOp> {
        if leases.delay.is_some() {
            return self.new_puts(leases, State::Held);
        }
        let (client, claim) = (self.client, self.claim);
        let taken = || Arc::new(client.keys.take(&client.env, &claim.name));
        let key = self.own.state.lock().client_key.get_or_insert_with(taken).id;
        let value = self.value(leases, State::Held, None, client.env.wall_us());
        self.puts(self.own.keys.client(key), leases, &Value { id: Some(claim.id), ..value })
    }

    fn new_puts(&self, leases: &ClaimLeases, state: State) -> Vec<RequestOp> {
        let value = self.value(leases, state, None, self.client.env.wall_us());
        self.puts(self.own.keys.place(self.claim.id), leases, &value)
    }

    /// Writes the place, and the delay if there is one.
    fn puts(&self, place: Vec<u8>, leases: &ClaimLeases, value: &Value) -> Vec<RequestOp> {
        let mut puts = vec![put(place, value.write(), leases.place.id)];
        if let Some(delay) = leases.delay {
            let state = if value.state == State::Held { State::Armed } else { State::Idle };
            let value = Value { id: None, state, ..value.clone() };
            puts.push(put(self.own.keys.delay(self.claim.id), value.write(), delay.id));
        }
        puts
    }

    fn value(&self, leases: &ClaimLeases, state: State, fence: Option<u64>, since_us: u64) -> Value {
        Value {
            id: None,
            state,
            mode: self.claim.mode,
            lease_s: leases.place.lives,
            delay_s: if leases.delay.is_some() { whole_seconds(self.claim.lock_delay) } else { 0 },
            since_us,
            fence,
            note: self.claim.note.clone(),
        }
    }

    /// Records the answer in the state of the claim.
    fn remember(&self, standing: &Standing) {
        match standing {
            Standing::Granted(_) => {
                {
                    let mut state = self.own.state.lock();
                    state.held = true;
                    state.bind(self.claim.binding);
                }
                self.client.leases.grant_ahead(whole_seconds(self.claim.ttl));
            }
            Standing::Waiting(_) => {}
            // A refused upgrade leaves the hold.
            Standing::Held(_) if self.own.state.lock().held => {}
            _ => self.client.own_claims.remove(self.claim.id),
        }
    }
}
