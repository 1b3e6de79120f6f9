//! The operation `claim`: one request where the lock is free or foreign, two where its document changes.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, FencingToken, Grant, Intent, LostReason, Queueing, Result, Standing,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    batch::CommandBatch,
    client::{ATTEMPTS_MAX, Client, whole_seconds},
    error::{refused, too_contended},
    format::{self, Document, PENDING, SPAN_END, moment},
    keys::LockKeys,
    lock_record::{LockRecord, OwnDocument, Stored, foreign},
    reply::Reply,
    txn::Written,
};

/// There are no wake-ups: a waiter asks again after this long.
const RECHECK: Duration = Duration::from_millis(25);

/// The result of one attempt.
enum Step {
    Answer(Standing),
    /// The lock has changed: the record as it is now.
    Again(LockRecord),
}

/// One claim under way.
struct ClaimOp<'a> {
    client: &'a Client,
    keys: &'a LockKeys,
    claim: &'a Claim,
    /// Whether this call made the hold: a proposed token is for a new grant only.
    is_new: bool,
}

impl Client {
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let (claim, keys) = (&whole_seconds(claim)?, &LockKeys::of(&claim.name));
        ClaimOp { client: self, keys, claim, is_new: false }.run().await
    }
}

impl ClaimOp<'_> {
    async fn run(mut self) -> Result<Standing> {
        let mut step = match self.claim.intent {
            Intent::Hold => self.add().await?,
            Intent::Amend => Step::Again(self.client.record(self.keys).await?),
        };
        for attempt in 0..ATTEMPTS_MAX {
            let record = match step {
                Step::Answer(standing) => return Ok(standing),
                Step::Again(record) => record,
            };
            self.client.back_off(attempt).await;
            step = match &record.stored {
                Stored::Own(own) => self.decide(&record, own).await?,
                _ if self.claim.intent == Intent::Amend => Step::Answer(Standing::Gone(LostReason::Gone)),
                Stored::Free => self.add().await?,
                Stored::Foreign(item) => {
                    let busy = Busy { holder: Some(foreign(item)), ahead: None, recheck_in: RECHECK };
                    Step::Answer(Standing::Held(busy))
                }
            };
        }
        match step {
            Step::Answer(standing) => Ok(standing),
            Step::Again(_) => Err(too_contended()),
        }
    }

    /// Takes a free lock. The same request reads the record in case it is not free.
    async fn add(&mut self) -> Result<Step> {
        let (keys, claim) = (self.keys, self.claim);
        let ttl = (claim.ttl + claim.lock_delay).as_secs();
        let now = moment(SPAN_END - ttl);
        let mut document = LockState::default();
        document.claim(claim, None, now, |_| Ok(Some(PENDING)))?;
        let entries = document.entries().to_vec();
        let value = format::encode(&Document { name: keys.name.clone(), end: SPAN_END, entries });
        let batch = CommandBatch::new().add(&keys.lock, ttl, &value).then(Client::query(keys));
        let (mut replies, received) = self.client.call(batch).await?;
        let added = replies.next();
        let record = self.client.parse(keys, &mut replies, &received)?;
        match (added, &record.stored) {
            (Some(Reply::Done), _) => {
                self.is_new = true;
                self.grant(record).await
            }
            // Without room for the new item a present one still counts.
            (Some(Reply::Refused(why)), Stored::Free) => Err(refused(&why)),
            _ => Ok(Step::Again(record)),
        }
    }

    /// Changes the document according to the claim.
    async fn decide(&mut self, record: &LockRecord, own: &OwnDocument) -> Result<Step> {
        let claim = self.claim;
        let before = own.unexpired();
        let mut after = before.clone();
        let standing = after.claim(claim, None, own.now, |_| Ok(Some(PENDING)))?;
        let mut entries = after.entries().to_vec();
        let granted = matches!(standing, Standing::Granted(_));
        // An entry that was extended in place before its token was written down gets a higher one.
        for entry in entries.iter_mut().filter(|entry| granted && entry.id == claim.id) {
            entry.fence.get_or_insert(PENDING);
        }
        let unchanged = entries == before.entries();
        match standing {
            Standing::Granted(_) if unchanged => return self.grant(record.clone()).await,
            Standing::Waiting(busy) if is_queued(&before, claim, own) => {
                return Ok(Step::Answer(Standing::Waiting(soon(busy))));
            }
            standing if unchanged => return Ok(Step::Answer(recheck_soon(standing))),
            _ => {}
        }
        let mine = granted.then_some(claim.id);
        match (self.client.write(self.keys, record, own, entries, mine).await?, standing) {
            (Written::Conflict(now), _) => Ok(Step::Again(now)),
            (Written::Done(now), Standing::Granted(_)) => {
                let was_held = |entry: &Entry| entry.id == claim.id && entry.state == State::Held;
                self.is_new |= !before.entries().iter().any(was_held);
                self.grant(now).await
            }
            (Written::Done(_), standing) => Ok(Step::Answer(recheck_soon(standing))),
            // Others may overtake it anyway: it waits without a place in the queue.
            (Written::NoRoom(_), Standing::Waiting(busy)) if claim.queueing == Queueing::Barging => {
                Ok(Step::Answer(Standing::Held(soon(busy))))
            }
            (Written::NoRoom(why), _) => Err(refused(&format!("too large or out of memory: {why}"))),
        }
    }

    /// Answers a hold, once its token and all later ones are as high as the claim demands.
    async fn grant(&self, mut record: LockRecord) -> Result<Step> {
        let (client, keys, claim) = (self.client, self.keys, self.claim);
        let proposal = claim.fence_proposal.filter(|_| self.is_new);
        let floor = claim.fence_floor.max(proposal);
        for _ in 0..ATTEMPTS_MAX {
            let Some((own, entry)) = record.held_by(claim.id) else { return Ok(Step::Again(record)) };
            let Some(fence) = entry.fence else { return Ok(Step::Again(record)) };
            let wanted = fence.max(floor.unwrap_or(fence));
            if wanted.get() > record.token_of(own.cas) {
                let offset = wanted.get() - (record.token_of(own.cas) - record.offset);
                client.raise_offset(keys, offset).await?;
                record = client.record(keys).await?;
            } else if fence < wanted {
                let entries = with_fence(own.document.entries(), claim, wanted);
                record = match client.write(keys, &record, own, entries, Some(claim.id)).await? {
                    Written::Done(now) | Written::Conflict(now) => now,
                    Written::NoRoom(why) => return Err(refused(&why)),
                };
            } else {
                let grant = Grant {
                    fence: Some(fence),
                    valid_for: record.valid_for(own, entry),
                    remembers_for: record.server.remembers_for(client.env.now()),
                };
                client.remember(claim.id, &record);
                return Ok(Step::Answer(Standing::Granted(grant)));
            }
        }
        Err(too_contended().unknown())
    }
}

fn with_fence(entries: &[Entry], claim: &Claim, fence: FencingToken) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    for entry in entries.iter_mut().filter(|entry| entry.id == claim.id) {
        entry.fence = Some(fence);
    }
    entries
}

/// Whether the document has the waiter as it is, for long enough that it need not be written again.
fn is_queued(before: &LockState, claim: &Claim, own: &OwnDocument) -> bool {
    let same = |entry: &&Entry| {
        entry.id == claim.id
            && entry.mode == claim.mode
            && entry.queueing == claim.queueing
            && entry.lock_delay == claim.lock_delay
            && entry.note == claim.note
    };
    let found = before.entries().iter().find(same);
    found.is_some_and(|entry| entry.expires.since(own.now) * 3 >= claim.ttl * 2)
}

fn soon(busy: Busy) -> Busy {
    Busy { recheck_in: busy.recheck_in.min(RECHECK), ..busy }
}

fn recheck_soon(standing: Standing) -> Standing {
    match standing {
        Standing::Held(busy) => Standing::Held(soon(busy)),
        Standing::Waiting(busy) => Standing::Waiting(soon(busy)),
        other => other,
    }
}
