//! The claim: one transaction that enters the queue and answers who is in it; and what has to follow.

mod write;

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
    keys::Keys,
    leases::Lease,
    members::{Refused, locked},
    messages::TxnRequest,
    queue::Queue,
    session::{Done, Session},
    slot::Slot,
    txn::{absent, nested, none_in, none_since, put},
    value::{State, Value},
};

/// Each try that fails means that somebody else went on, or that a lease had ended.
const TRIES_MAX: usize = 64;

/// One claim that is being answered.
pub(super) struct Attempt<'a> {
    session: &'a Arc<Session>,
    claim: &'a Claim,
    keys: Keys,
    slot: Arc<Slot>,
    begin: Moment,
    /// The first transaction was answered.
    has_entered: AtomicBool,
    /// The hold is of this attempt: only a new grant carries what is proposed.
    is_new: AtomicBool,
}

/// What a try came to.
enum Step {
    Done(Standing),
    /// Something has changed meanwhile.
    Again,
}

/// The leases of a try.
#[derive(Clone, Copy)]
struct Means {
    place: Lease,
    delay: Option<Lease>,
    /// They were granted or renewed just now.
    is_fresh: bool,
}

pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Answers a claim.
pub(crate) async fn claim(session: &Arc<Session>, claim: &Claim, slot: Arc<Slot>) -> Result<Standing> {
    let _turn = session.turn(&slot).await?;
    session.refuse_closed()?;
    let begin = session.env.now();
    let attempt = Attempt {
        session,
        claim,
        keys: Keys::of(&claim.name),
        slot: slot.clone(),
        begin,
        has_entered: false.into(),
        is_new: false.into(),
    };
    let until = begin + session.options.timeout * 2;
    for _ in 0..TRIES_MAX {
        let step = match claim.intent {
            Intent::Hold => attempt.hold().await,
            Intent::Amend => attempt.amend().await,
        };
        // Whatever fails after the first transaction fails where there may be a place already.
        let has_entered = attempt.has_entered.load(Ordering::Relaxed);
        match step.map_err(|error| if has_entered { error.unknown() } else { error })? {
            Step::Done(standing) => {
                attempt.remember(&standing);
                return Ok(standing);
            }
            Step::Again if session.env.now() > until => break,
            Step::Again => {}
        }
    }
    let message = "others were faster every time";
    Err(Error::new(ErrorKind::TimedOut, message).hint("ask again: the lock is in great demand").unknown())
}

impl Attempt<'_> {
    /// Finds the hold, makes one, or queues up.
    async fn hold(&self) -> Result<Step> {
        let means = self.means().await?;
        {
            let mut known = locked(&self.slot.known);
            (known.lease, known.delay, known.in_doubt) = (Some(means.place), means.delay, true);
            known.keys = Some(self.keys.clone());
            known.bind(self.claim.binding);
        }
        let entered = self.enter(&means);
        let (done, renewed) = if means.is_fresh {
            (entered.await, Ok(Some(means)))
        } else {
            tokio::join!(entered, self.renew(means))
        };
        self.has_entered.fetch_or(done.is_ok(), Ordering::Relaxed);
        let done = match done {
            Ok(done) => done,
            Err(Refused::NoLease) => {
                self.drop_leases();
                return Ok(Step::Again);
            }
            Err(Refused::Error(error)) => return Err(error),
        };
        locked(&self.slot.known).in_doubt = false;
        let holds = |at: usize| done.queue.entries[at].stance == Stance::Holding;
        let is_new = done.succeeded && done.queue.find(self.claim.id).is_some_and(holds);
        self.is_new.fetch_or(is_new, Ordering::Relaxed);
        let Some(means) = renewed? else {
            // What lived by it is gone with it.
            self.drop_leases();
            return Ok(Step::Again);
        };
        self.answer(done, means).await
    }

    /// Changes a hold that is there.
    async fn amend(&self) -> Result<Step> {
        let done = self.look().await?;
        let gone = |reason| Ok(Step::Done(Standing::Gone(reason)));
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
            Some(means) => self.settle(done.queue, at, means).await,
            None => gone(LostReason::Expired),
        }
    }

    async fn look(&self) -> Result<Done> {
        let reads = Session::reads(&self.keys, self.claim.id);
        let looked = self.session.transact(&self.keys, Vec::new(), reads.into(), Vec::new()).await;
        looked.map_err(Refused::into)
    }

    /// What the transaction that was to enter the queue has found.
    async fn answer(&self, done: Done, means: Means) -> Result<Step> {
        let Some(at) = done.queue.find(self.claim.id) else {
            return self.outside(done, means).await;
        };
        if done.queue.entries[at].stance == Stance::Delaying {
            self.return_leases(&means);
            return Ok(Step::Done(Standing::Gone(LostReason::Expired)));
        }
        if done.queue.entries[at].stance == Stance::Waiting
            && let Some(limit) = done.queue.mismatch(self.claim)
        {
            self.leave().await?;
            return Ok(Step::Done(Standing::Mismatch { limit }));
        }
        if done.queue.entries[at].lease == means.place.id {
            return self.settle(done.queue, at, means).await;
        }
        // It lives by another lease: another client asked before, or with a shorter time to live.
        self.return_leases(&means);
        match self.adopt(&done.queue, at).await? {
            Some(means) => self.settle(done.queue, at, means).await,
            None => Ok(Step::Again),
        }
    }

    /// It has no place: it does not queue, or was thrown out.
    async fn outside(&self, done: Done, means: Means) -> Result<Step> {
        let out = |standing| {
            self.return_leases(&means);
            Ok(Step::Done(standing))
        };
        if done.is_revoked {
            return out(Standing::Gone(LostReason::ForceReleased));
        }
        if let Some(limit) = done.queue.mismatch(self.claim) {
            return out(Standing::Mismatch { limit });
        }
        if done.queue.grants(self.claim) {
            return self.join(done.queue, means).await;
        }
        if self.session.decided(done.queue.blockers(self.claim.id)).await? {
            return Ok(Step::Again);
        }
        out(Standing::Held(done.queue.busy(self.claim, self.session.env.wall_us())))
    }

    /// The entering transaction: the first of all holds at once, others queue up if they want to.
    async fn enter(&self, means: &Means) -> Result<Done, Refused> {
        let (id, keys) = (self.claim.id, &self.keys);
        let reads = Session::reads(keys, id);
        let absent = [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent);
        let queue_up = match self.claim.queueing {
            Queueing::No => Vec::new(),
            Queueing::Barging | Queueing::Fifo => self.puts(means, State::Waiting),
        };
        let first = TxnRequest {
            compare: vec![none_in(keys.range())],
            success: self.puts(means, State::Held),
            failure: queue_up,
        };
        let success = std::iter::once(nested(first)).chain(reads.clone()).collect();
        self.session.transact(keys, absent.into(), success, reads.into()).await
    }

    /// Holds beside those who hold already, if nothing has changed since they were looked at.
    async fn join(&self, queue: Queue, means: Means) -> Result<Step> {
        let (id, keys) = (self.claim.id, &self.keys);
        let reads = Session::reads(keys, id);
        let mut compare: Vec<_> = [keys.place(id), keys.delay(id), keys.revoked(id)].map(absent).into();
        compare.push(none_since(keys.range(), queue.revision));
        let success = self.puts(&means, State::Held).into_iter().chain(reads.clone()).collect();
        locked(&self.slot.known).in_doubt = true;
        let done = match self.session.transact(keys, compare, success, reads.into()).await {
            Ok(done) => done,
            Err(Refused::NoLease) => {
                self.drop_leases();
                return Ok(Step::Again);
            }
            Err(Refused::Error(error)) => return Err(error),
        };
        locked(&self.slot.known).in_doubt = false;
        match done.queue.find(id) {
            Some(at) if done.succeeded => {
                self.is_new.store(true, Ordering::Relaxed);
                self.settle(done.queue, at, means).await
            }
            _ => Ok(Step::Again),
        }
    }

    fn puts(&self, means: &Means, state: State) -> Vec<crate::messages::RequestOp> {
        let value = self.value(means, state, None, self.session.env.wall_us());
        let mut puts = vec![put(self.keys.place(self.claim.id), value.write(), means.place.id)];
        if let Some(delay) = means.delay {
            let state = if state == State::Held { State::Armed } else { State::Idle };
            puts.push(put(self.keys.delay(self.claim.id), Value { state, ..value }.write(), delay.id));
        }
        puts
    }

    fn value(&self, means: &Means, state: State, fence: Option<u64>, since_us: u64) -> Value {
        Value {
            state,
            mode: self.claim.mode,
            lease_s: means.place.lives,
            delay_s: if means.delay.is_some() { whole_seconds(self.claim.lock_delay) } else { 0 },
            since_us,
            fence,
            note: self.claim.note.clone(),
        }
    }

    fn granted(&self, queue: &Queue, at: usize, means: &Means) -> Result<Step> {
        let fence = queue.fence(&queue.entries[at])?;
        // No more than is certain, and counted from before anything was sent.
        let valid_for = means.place.until.since(self.begin).min(Duration::from_secs(means.place.lives));
        Ok(Step::Done(Standing::Granted(Grant::lasting(Some(fence), valid_for))))
    }

    /// Takes over what the answer means for what is known of the claim.
    fn remember(&self, standing: &Standing) {
        match standing {
            Standing::Granted(_) => {
                let mut known = locked(&self.slot.known);
                known.held = true;
                known.keys = Some(self.keys.clone());
                known.bind(self.claim.binding);
                drop(known);
                self.session.leases.grant_ahead(whole_seconds(self.claim.ttl));
            }
            Standing::Waiting(_) => {}
            // A refused upgrade leaves the hold.
            Standing::Held(_) if locked(&self.slot.known).held => {}
            _ => self.session.forget(self.claim.id),
        }
    }
}
