//! The verb `claim`: one packet where the lock is free or held by another, two where the document is changed.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, FencingToken, Grant, Intent, LostReason, Queueing, Result, Standing,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    batch::CommandBatch,
    client::{ClientState, TRIES, too_contended, whole_seconds},
    format::{self, Document, PENDING, SPAN_END, moment},
    lock_record::{LockKeys, LockRecord, OwnDocument, Stored, foreign, refused},
    reply::Reply,
    txn::Written,
};

/// Nobody is woken: those who wait ask again after this long.
const RECHECK: Duration = Duration::from_millis(25);

/// How far one look has brought us.
enum Step {
    Answer(Standing),
    /// The lock has changed; this is what is there now.
    Again(LockRecord),
}

impl ClientState {
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let claim = &whole_seconds(claim)?;
        let place = &LockKeys::of(&claim.name);
        // Whether the hold is of this call: only a new grant carries what is proposed.
        let mut new = false;
        let mut step = match claim.intent {
            Intent::Hold => self.add(place, claim, &mut new).await?,
            Intent::Amend => Step::Again(self.look(place).await?),
        };
        for tries in 0..TRIES {
            let look = match step {
                Step::Answer(standing) => return Ok(standing),
                Step::Again(look) => look,
            };
            self.back_off(tries).await;
            step = match &look.found {
                Stored::Free if claim.intent == Intent::Amend => {
                    Step::Answer(Standing::Gone(LostReason::Gone))
                }
                Stored::Free => self.add(place, claim, &mut new).await?,
                Stored::Foreign(_) if claim.intent == Intent::Amend => {
                    Step::Answer(Standing::Gone(LostReason::Gone))
                }
                Stored::Foreign(item) => {
                    let busy = Busy { holder: Some(foreign(item)), ahead: None, recheck_in: RECHECK };
                    Step::Answer(Standing::Held(busy))
                }
                Stored::Own(ours) => self.decide(place, claim, &look, ours, &mut new).await?,
            };
        }
        match step {
            Step::Answer(standing) => Ok(standing),
            Step::Again(_) => Err(too_contended()),
        }
    }

    /// Takes a free lock. The same packet says who has it if it is not free.
    async fn add(&self, place: &LockKeys, claim: &Claim, new: &mut bool) -> Result<Step> {
        let lives = (claim.ttl + claim.lock_delay).as_secs();
        let now = moment(SPAN_END - lives);
        let mut document = LockState::default();
        document.claim(claim, None, now, |_| Ok(Some(PENDING)))?;
        let entries = document.entries().to_vec();
        let value = format::encode(&Document { name: place.name.clone(), end: SPAN_END, entries });
        let packet =
            CommandBatch::new().add(&place.keys.lock, lives, &value).then(ClientState::look_at(place));
        let (mut replies, heard) = self.call(packet).await?;
        let added = replies.next();
        let look = self.read(place, &mut replies, &heard)?;
        match (added, &look.found) {
            (Some(Reply::Done), _) => {
                *new = true;
                self.settle(place, claim, look, *new).await
            }
            // Without room for a trial of ours, whoever holds it still does.
            (Some(Reply::Refused(why)), Stored::Free) => Err(refused(&why)),
            _ => Ok(Step::Again(look)),
        }
    }

    /// Changes the document as the claim has it.
    async fn decide(
        &self,
        place: &LockKeys,
        claim: &Claim,
        look: &LockRecord,
        ours: &OwnDocument,
        new: &mut bool,
    ) -> Result<Step> {
        let mut before = ours.document.clone();
        before.expire(ours.now);
        let mut after = before.clone();
        let standing = after.claim(claim, None, ours.now, |_| Ok(Some(PENDING)))?;
        let mut entries = after.entries().to_vec();
        let granted = matches!(standing, Standing::Granted(_));
        // Prolonged in place before its token was written down: it gets a higher one.
        for entry in entries.iter_mut().filter(|entry| granted && entry.id == claim.id) {
            entry.fence.get_or_insert(PENDING);
        }
        let unchanged = entries == before.entries();
        match standing {
            Standing::Granted(_) if unchanged => self.settle(place, claim, look.clone(), *new).await,
            Standing::Waiting(busy) if is_queued(&before, claim, ours) => {
                Ok(Step::Answer(Standing::Waiting(soon(busy))))
            }
            standing if unchanged => Ok(Step::Answer(recheck_soon(standing))),
            standing => {
                let mine = granted.then_some(claim.id);
                match self.write(place, look, ours, entries, mine).await? {
                    Written::Conflict(now) => Ok(Step::Again(now)),
                    Written::Done(now) if granted => {
                        let was_held = |entry: &Entry| entry.id == claim.id && entry.state == State::Held;
                        *new |= !before.entries().iter().any(was_held);
                        self.settle(place, claim, now, *new).await
                    }
                    Written::Done(_) => Ok(Step::Answer(recheck_soon(standing))),
                    Written::NoRoom(why) => match standing {
                        // It may be overtaken anyway: it waits without a place.
                        Standing::Waiting(busy) if claim.queueing == Queueing::Barging => {
                            Ok(Step::Answer(Standing::Held(soon(busy))))
                        }
                        _ => Err(refused(&format!("too large or out of memory: {why}"))),
                    },
                }
            }
        }
    }

    /// Answers a hold that is there, when its token and all later ones are as high as the claim wants.
    async fn settle(&self, place: &LockKeys, claim: &Claim, mut look: LockRecord, new: bool) -> Result<Step> {
        let floor = if new { claim.fence_floor.max(claim.fence_proposal) } else { claim.fence_floor };
        for _ in 0..TRIES {
            let Some((ours, entry)) = look.held_by(claim.id) else { return Ok(Step::Again(look)) };
            let Some(fence) = entry.fence else { return Ok(Step::Again(look)) };
            let wanted = fence.max(floor.unwrap_or(fence));
            if wanted.get() > look.reach(ours.cas) {
                let offset = wanted.get() - (look.reach(ours.cas) - look.offset);
                self.raise_offset(place, offset).await?;
                look = self.look(place).await?;
            } else if fence < wanted {
                let entries = with_fence(ours.document.entries(), claim, wanted);
                look = match self.write(place, &look, ours, entries, Some(claim.id)).await? {
                    Written::Done(now) | Written::Conflict(now) => now,
                    Written::NoRoom(why) => return Err(refused(&why)),
                };
            } else {
                let grant = Grant {
                    fence: Some(fence),
                    valid_for: look.valid_for(ours, entry),
                    remembers_for: look.server.remembers_for(self.env.now()),
                };
                self.note(claim.id, &look);
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

/// Whether a waiter stands in the document as it is, and for long enough that it need not be written again.
fn is_queued(before: &LockState, claim: &Claim, ours: &OwnDocument) -> bool {
    let same = |entry: &&Entry| {
        entry.id == claim.id
            && entry.mode == claim.mode
            && entry.queueing == claim.queueing
            && entry.lock_delay == claim.lock_delay
            && entry.note == claim.note
    };
    let found = before.entries().iter().find(same);
    found.is_some_and(|entry| entry.expires.since(ours.now) * 3 >= claim.ttl * 2)
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
