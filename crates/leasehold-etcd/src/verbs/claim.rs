//! The claim: one transaction that enters the queue and answers who is in it; and what has to follow.

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
    client::{ClientState, TxnResult},
    format::{State, Value},
    keys::Keys,
    leases::Lease,
    own_claims::OwnClaim,
    proto::TxnRequest,
    queue::Queue,
    transport::{Refused, locked},
    txn::{absent, nested, none_in, none_since, put},
};

/// Each try that fails leases that somebody else went on, or that a lease had ended.
const TRIES_MAX: usize = 64;

/// One claim that is being answered.
pub(super) struct Attempt<'a> {
    client: &'a Arc<ClientState>,
    claim: &'a Claim,
    keys: Keys,
    slot: Arc<OwnClaim>,
    begin: Moment,
    /// The first transaction was answered.
    has_entered: AtomicBool,
    /// The hold is of this attempt: only a new grant carries what is proposed.
    is_new: AtomicBool,
}

/// What a try came to.
enum Progress {
    TxnResult(Standing),
    /// Something has changed meanwhile.
    Again,
}

/// The leases of a try.
#[derive(Clone, Copy)]
struct ClaimLeases {
    place: Lease,
    delay: Option<Lease>,
    /// They were granted or renewed just now.
    is_fresh: bool,
}

pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Answers a claim.
pub(crate) async fn claim(client: &Arc<ClientState>, claim: &Claim, slot: Arc<OwnClaim>) -> Result<Standing> {
    let _turn = client.turn(&slot).await?;
    client.refuse_closed()?;
    let begin = client.env.now();
    let attempt = Attempt {
        client,
        claim,
        keys: Keys::of(&claim.name),
        slot: slot.clone(),
        begin,
        has_entered: false.into(),
        is_new: false.into(),
    };
    let until = begin + client.options.timeout * 2;
    for _ in 0..TRIES_MAX {
        let step = match claim.intent {
            Intent::Hold => attempt.hold().await,
            Intent::Amend => attempt.amend().await,
        };
        // Whatever fails after the first transaction fails where there may be a place already.
        let has_entered = attempt.has_entered.load(Ordering::Relaxed);
        match step.map_err(|error| if has_entered { error.unknown() } else { error })? {
            Progress::TxnResult(standing) => {
                attempt.remember(&standing);
                return Ok(standing);
            }
            Progress::Again if client.env.now() > until => break,
            Progress::Again => {}
        }
    }
    let message = "others were faster every time";
    Err(Error::new(ErrorKind::TimedOut, message).hint("ask again: the lock is in great demand").unknown())
}

impl Attempt<'_> {
    /// Finds the hold, makes one, or queues up.
    async fn hold(&self) -> Result<Progress> {
        let leases = self.leases_of_claim().await?;
        {
            let mut known = locked(&self.slot.known);
            (known.lease, known.delay, known.in_doubt) = (Some(leases.place), leases.delay, true);
            known.keys = Some(self.keys.clone());
            known.bind(self.claim.binding);
        }
        let entered = self.enter(&leases);
        let (done, renewed) = if leases.is_fresh {
            (entered.await, Ok(Some(leases)))
        } else {
            tokio::join!(entered, self.renew(leases))
        };
        self.has_entered.fetch_or(done.is_ok(), Ordering::Relaxed);
        let done = match done {
            Ok(done) => done,
            Err(Refused::NoLease) => {
                self.drop_leases();
                return Ok(Progress::Again);
            }
            Err(Refused::Error(error)) => return Err(error),
        };
        locked(&self.slot.known).in_doubt = false;
        let holds = |at: usize| done.queue.entries[at].stance == Stance::Holding;
        let is_new = done.succeeded && done.queue.find(self.claim.id).is_some_and(holds);
        self.is_new.fetch_or(is_new, Ordering::Relaxed);
        let Some(leases) = renewed? else {
            // What lived by it is gone with it.
            self.drop_leases();
            return Ok(Progress::Again);
        };
        self.answer(done, leases).await
    }

    /// Changes a hold that is there.
    async fn amend(&self) -> Result<Progress> {
        let done = self.look().await?;
        let gone = |reason| Ok(Progress::TxnResult(Standing::Gone(reason)));
        let Some(at) = done.queue.find(self.claim.id) else {
            return gone(if done.is_revoked { LostReason::ForceReleased } else { LostReason::Gone });
        };
        let entry = &done.queue.entries[at];
        match entry.stance {
            Stance::Waiting => return gone(LostReason::Gone),
            Stance::Delaying => return gone(LostReason::Expired),
            Stance::Holding => {}
        }
        match self.adopt(&done.queue, at).await? {
            Some(leases) => self.settle(done.queue, at, leases).await,
            None => gone(LostReason::Expired),
        }
    }

    async fn look(&self) -> Result<TxnResult> {
        let reads = ClientState::reads(&self.keys, self.claim.id);
        let looked = self.client.transact(&self.keys, Vec::new(), reads.into(), Vec::new()).await;
        looked.map_err(Refused::into)
    }

    /// What the transaction that was to enter the queue has found.
    async fn answer(&self, done: TxnResult, leases: ClaimLeases) -> Result<Progress> {
        let Some(at) = done.queue.find(self.claim.id) else {
            return self.outside(done, leases).await;
        };
        if done.queue.entries[at].stance == Stance::Delaying {
            self.return_leases(&leases);
            return Ok(Progress::TxnResult(Standing::Gone(LostReason::Expired)));
        }
        if done.queue.entries[at].stance == Stance::Waiting
            && let Some(limit) = done.queue.mismatch(self.claim)
        {
            self.leave().await?;
            return Ok(Progress::TxnResult(Standing::Mismatch { limit }));
        }
        if done.queue.entries[at].lease == leases.place.id {
            return self.settle(done.queue, at, leases).await;
        }
        // It lives by another lease: another client asked before, or with a shorter time to live.
        self.return_leases(&leases);
        match self.adopt(&done.queue, at).await? {
            Some(leases) => self.settle(done.queue, at, leases).await,
            None => Ok(Progress::Again),
        }
    }

    /// It has no place: it does not queue, or was thrown out.
    async fn outside(&self, done: TxnResult, leases: ClaimLeases) -> Result<Progress> {
        let out = |standing| {
            self.return_leases(&leases);
            Ok(Progress::TxnResult(standing))
        };
        if done.is_revoked {
            return out(Standing::Gone(LostReason::ForceReleased));
        }
        if let Some(limit) = done.queue.mismatch(self.claim) {
            return out(Standing::Mismatch { limit });
        }
        if done.queue.grants(self.claim) {
            return self.join(done.queue, leases).await;
        }
        if self.client.decided(done.queue.blockers(self.claim.id)).await? {
            return Ok(Progress::Again);
        }
        out(Standing::Held(done.queue.busy(self.claim, self.client.env.wall_us())))
    }

    /// The entering transaction: the first of all holds at once, others queue up if they want to.
    async fn enter(&self, leases: &ClaimLeases) -> Result<TxnResult, Refused> {
        let (id, keys) = (self.claim.id, &self.keys);
        let reads = ClientState::reads(keys, id);
        let absent = [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent);
        let queue_up = match self.claim.queueing {
            Queueing::No => Vec::new(),
            Queueing::Barging | Queueing::Fifo => self.puts(leases, State::Waiting),
        };
        let first = TxnRequest {
            compare: vec![none_in(keys.range())],
            success: self.puts(leases, State::Held),
            failure: queue_up,
        };
        let success = std::iter::once(nested(first)).chain(reads.clone()).collect();
        self.client.transact(keys, absent.into(), success, reads.into()).await
    }

    /// Holds beside those who hold already, if nothing has changed since they were looked at.
    async fn join(&self, queue: Queue, leases: ClaimLeases) -> Result<Progress> {
        let (id, keys) = (self.claim.id, &self.keys);
        let reads = ClientState::reads(keys, id);
        let mut compare: Vec<_> = [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent).into();
        compare.push(none_since(keys.range(), queue.revision));
        let success = self.puts(&leases, State::Held).into_iter().chain(reads.clone()).collect();
        locked(&self.slot.known).in_doubt = true;
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
            Some(at) if done.succeeded => {
                self.is_new.store(true, Ordering::Relaxed);
                self.settle(done.queue, at, leases).await
            }
            _ => Ok(Progress::Again),
        }
    }

    fn puts(&self, leases: &ClaimLeases, state: State) -> Vec<crate::proto::RequestOp> {
        let value = self.value(leases, state, None, self.client.env.wall_us());
        let mut puts = vec![put(self.keys.place(self.claim.id), value.write(), leases.place.id)];
        if let Some(delay) = leases.delay {
            let state = if state == State::Held { State::Armed } else { State::Idle };
            puts.push(put(self.keys.delay(self.claim.id), Value { state, ..value }.write(), delay.id));
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
        // No more than is certain, and counted from before anything was sent.
        let valid_for = leases.place.until.since(self.begin).min(Duration::from_secs(leases.place.lives));
        Ok(Progress::TxnResult(Standing::Granted(Grant::lasting(Some(fence), valid_for))))
    }

    /// Takes over what the answer leases for what is known of the claim.
    fn remember(&self, standing: &Standing) {
        match standing {
            Standing::Granted(_) => {
                let mut known = locked(&self.slot.known);
                known.held = true;
                known.keys = Some(self.keys.clone());
                known.bind(self.claim.binding);
                drop(known);
                self.client.leases.grant_ahead(whole_seconds(self.claim.ttl));
            }
            Standing::Waiting(_) => {}
            // A refused upgrade leaves the hold.
            Standing::Held(_) if locked(&self.slot.known).held => {}
            _ => self.client.forget(self.claim.id),
        }
    }
}
