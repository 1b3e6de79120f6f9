//! The claim: one transaction that enters the queue and reads it, and the steps that follow from the answer.

mod transition;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Claim, Error, ErrorKind, Grant, Intent, LostReason, Moment, Queueing, Result, Stance, Standing,
};

use crate::{
    client::{Client, TxnResult},
    error::unless_lease_gone,
    format::{State, Value},
    keys::Keys,
    leases::ClaimLeases,
    own_claims::OwnClaim,
    proto::{Compare, RequestOp, TxnRequest},
    queue::Queue,
    txn::{absent, nested, none_in, none_since, put},
};

/// A try fails when another client changed the queue meanwhile, or a lease had ended.
const TRIES_MAX: usize = 64;

/// The state of one claim that is being answered.
struct Attempt<'a> {
    client: &'a Arc<Client>,
    claim: &'a Claim,
    keys: Keys,
    own: Arc<OwnClaim>,
    begin: Moment,
    /// The first transaction was answered.
    has_entered: AtomicBool,
    /// This attempt made the hold: only a new grant carries the proposed token.
    is_new: AtomicBool,
}

/// The result of one try.
enum Progress {
    Done(Standing),
    /// Something has changed meanwhile.
    Again,
}

pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Answers a claim.
pub(crate) async fn claim(client: &Arc<Client>, claim: &Claim, own: Arc<OwnClaim>) -> Result<Standing> {
    let _exclusive = client.exclude_verbs(&own).await?;
    client.state.check_open()?;
    let begin = client.env.now();
    let attempt = Attempt {
        client,
        claim,
        keys: Keys::of(&claim.name),
        own: own.clone(),
        begin,
        has_entered: false.into(),
        is_new: false.into(),
    };
    let until = begin + client.options.timeout * 2;
    for _ in 0..TRIES_MAX {
        let progress = match claim.intent {
            Intent::Hold => attempt.hold().await,
            Intent::Amend => attempt.amend().await,
        };
        // After the first transaction there may be a place, whatever fails.
        let has_entered = attempt.has_entered.load(Ordering::Relaxed);
        match progress.map_err(|error| if has_entered { error.unknown() } else { error })? {
            Progress::Done(standing) => {
                attempt.remember(&standing);
                return Ok(standing);
            }
            Progress::Again if client.env.now() > until => break,
            Progress::Again => {}
        }
    }
    let message = "other clients were faster every time";
    Err(Error::new(ErrorKind::TimedOut, message).hint("try again: the lock is in great demand").unknown())
}

impl Attempt<'_> {
    /// Finds the hold, makes one, or queues up.
    async fn hold(&self) -> Result<Progress> {
        let (leases, is_fresh) = self.obtain_leases().await?;
        {
            let mut state = self.own.state.lock();
            (state.leases, state.keys) = (Some(leases), Some(self.keys.clone()));
            state.bind(self.claim.binding);
        }
        let (entered, renewed) = if is_fresh {
            (self.enter(&leases).await, Ok(Some(leases)))
        } else {
            tokio::join!(self.enter(&leases), self.renew(leases))
        };
        let Some(done) = entered? else { return Ok(self.start_over()) };
        self.has_entered.store(true, Ordering::Relaxed);
        let holds = |at: usize| done.queue.entries[at].stance == Stance::Holding;
        let is_new = done.succeeded && done.queue.find(self.claim.id).is_some_and(holds);
        self.is_new.fetch_or(is_new, Ordering::Relaxed);
        match renewed? {
            Some(leases) => self.answer(done, leases).await,
            // The keys that lived by them are gone, too.
            None => Ok(self.start_over()),
        }
    }

    /// Changes an existing hold.
    async fn amend(&self) -> Result<Progress> {
        let reads = Client::reads(&self.keys, self.claim.id);
        let done = self.client.transact(&self.keys, Vec::new(), reads.into(), Vec::new()).await?;
        let gone = |reason| Ok(Progress::Done(Standing::Gone(reason)));
        let Some(at) = done.queue.find(self.claim.id) else {
            return gone(if done.is_revoked { LostReason::ForceReleased } else { LostReason::Gone });
        };
        match done.queue.entries[at].stance {
            Stance::Waiting => return gone(LostReason::Gone),
            Stance::Delaying => return gone(LostReason::Expired),
            Stance::Holding => {}
        }
        match self.adopt(&done.queue, at).await? {
            Some(leases) => self.settle(done.queue, at, leases).await,
            None => gone(LostReason::Expired),
        }
    }

    /// Continues from the result of the entering transaction.
    async fn answer(&self, done: TxnResult, leases: ClaimLeases) -> Result<Progress> {
        let Some(at) = done.queue.find(self.claim.id) else {
            return self.outside(done, leases).await;
        };
        let entry = &done.queue.entries[at];
        if entry.stance == Stance::Delaying {
            self.give_back(leases);
            return Ok(Progress::Done(Standing::Gone(LostReason::Expired)));
        }
        if entry.stance == Stance::Waiting
            && let Some(limit) = done.queue.mismatch(self.claim)
        {
            self.leave().await?;
            return Ok(Progress::Done(Standing::Mismatch { limit }));
        }
        if entry.lease == leases.place.id {
            return self.settle(done.queue, at, leases).await;
        }
        // It lives by another lease: another client has made it, or it had a shorter time to live.
        self.give_back(leases);
        match self.adopt(&done.queue, at).await? {
            Some(leases) => self.settle(done.queue, at, leases).await,
            None => Ok(Progress::Again),
        }
    }

    /// Answers a claim without a place: it does not queue, or was released by force.
    async fn outside(&self, done: TxnResult, leases: ClaimLeases) -> Result<Progress> {
        let standing = if done.is_revoked {
            Standing::Gone(LostReason::ForceReleased)
        } else if let Some(limit) = done.queue.mismatch(self.claim) {
            Standing::Mismatch { limit }
        } else if done.queue.grants(self.claim) {
            return self.join(done.queue, leases).await;
        } else if self.client.await_expiry(done.queue.blockers(self.claim.id)).await? {
            return Ok(Progress::Again);
        } else {
            Standing::Held(done.queue.busy(self.claim, self.client.env.wall_us()))
        };
        self.give_back(leases);
        Ok(Progress::Done(standing))
    }

    /// The entering transaction: the first claim of all holds at once, others queue up if they want to.
    async fn enter(&self, leases: &ClaimLeases) -> Result<Option<TxnResult>> {
        let queue_up = match self.claim.queueing {
            Queueing::No => Vec::new(),
            Queueing::Barging | Queueing::Fifo => self.new_puts(leases, State::Waiting),
        };
        let first = TxnRequest {
            compare: vec![none_in(self.keys.range())],
            success: self.new_puts(leases, State::Held),
            failure: queue_up,
        };
        self.transact(self.no_place(), vec![nested(first)]).await
    }

    /// Holds beside the present holders, if nothing has changed since they were read.
    async fn join(&self, queue: Queue, leases: ClaimLeases) -> Result<Progress> {
        let mut compare = self.no_place();
        compare.push(none_since(self.keys.range(), queue.revision));
        let Some(done) = self.transact(compare, self.new_puts(&leases, State::Held)).await? else {
            return Ok(self.start_over());
        };
        match done.queue.find(self.claim.id) {
            Some(at) if done.succeeded => {
                self.is_new.store(true, Ordering::Relaxed);
                self.settle(done.queue, at, leases).await
            }
            _ => Ok(Progress::Again),
        }
    }

    /// The claim has neither a place nor a delay, and was not released by force.
    fn no_place(&self) -> Vec<Compare> {
        let (id, keys) = (self.claim.id, &self.keys);
        [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent).into()
    }

    /// A transaction that writes keys of this claim, and reads its lock in either case; `None` when one of its leases had
    /// ended, and nothing was written.
    async fn transact(&self, compare: Vec<Compare>, success: Vec<RequestOp>) -> Result<Option<TxnResult>> {
        let reads = Client::reads(&self.keys, self.claim.id);
        let success = success.into_iter().chain(reads.clone()).collect();
        self.own.state.lock().in_doubt = true;
        let done = self.client.transact(&self.keys, compare, success, reads.into()).await;
        let done = unless_lease_gone(done)?;
        if done.is_some() {
            self.own.state.lock().in_doubt = false;
        }
        Ok(done)
    }

    fn new_puts(&self, leases: &ClaimLeases, state: State) -> Vec<RequestOp> {
        self.puts(leases, &self.value(leases, state, None, self.client.env.wall_us()))
    }

    /// Writes the place, and the delay if there is one.
    fn puts(&self, leases: &ClaimLeases, value: &Value) -> Vec<RequestOp> {
        let (id, keys) = (self.claim.id, &self.keys);
        let mut puts = vec![put(keys.place(id), value.write(), leases.place.id)];
        if let Some(delay) = leases.delay {
            let state = if value.state == State::Held { State::Armed } else { State::Idle };
            puts.push(put(keys.delay(id), Value { state, ..value.clone() }.write(), delay.id));
        }
        puts
    }

    fn value(&self, leases: &ClaimLeases, state: State, fence: Option<u64>, since_us: u64) -> Value {
        Value {
            state,
            mode: self.claim.mode,
            lease_s: leases.place.lives,
            delay_s: if leases.delay.is_some() { whole_seconds(self.claim.lock_delay) } else { 0 },
            since_us,
            fence,
            note: self.claim.note.clone(),
        }
    }

    fn granted(&self, queue: &Queue, at: usize, leases: &ClaimLeases) -> Result<Progress> {
        let fence = queue.fence(&queue.entries[at])?;
        // Only the certain part, counted from before anything was sent.
        let valid_for = leases.place.until.since(self.begin).min(Duration::from_secs(leases.place.lives));
        Ok(Progress::Done(Standing::Granted(Grant::lasting(Some(fence), valid_for))))
    }

    /// Records the answer in the state of the claim.
    fn remember(&self, standing: &Standing) {
        match standing {
            Standing::Granted(_) => {
                {
                    let mut state = self.own.state.lock();
                    (state.held, state.keys) = (true, Some(self.keys.clone()));
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
