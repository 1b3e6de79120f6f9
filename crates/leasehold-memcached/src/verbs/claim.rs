//! The operation `claim`: one request where the lock is free or foreign, two where its document changes.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use leasehold_core::{
    Busy, Claim, Grant, Intent, LostReason, Moment, Queueing, Result, Standing,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    client::{ATTEMPTS_MAX, Client, whole_seconds},
    error::too_contended,
    format::PENDING,
    keys::LockKeys,
    lock_record::{LockRecord, foreign},
    txn::{Updated, Written},
};

/// There are no wake-ups: a waiter asks again after this long.
const RECHECK: Duration = Duration::from_millis(25);
/// After more conflicts than this, a claim that may be overtaken waits without a place in the queue.
const CONFLICTS_MAX: u32 = 1;

impl Client {
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let (claim, keys) = (&whole_seconds(claim)?, &LockKeys::of(&claim.name));
        let mut record = match claim.intent {
            // Most locks are free; an item that is present is not replaced, and comes with the reply.
            Intent::Hold => LockRecord::absent(self.transport.server().await?),
            Intent::Amend => self.record(keys).await?,
        };
        // Whether this call made the hold: a proposed token is for a new grant only.
        let mut is_new = false;
        for _ in 0..ATTEMPTS_MAX {
            let conflicts = AtomicU32::new(0);
            let decide = |state: &mut LockState, now| {
                decide(state, claim, now, conflicts.fetch_add(1, Relaxed) > CONFLICTS_MAX)
            };
            let held = match self.update(keys, record, Some(claim.id), decide).await? {
                Updated::Done((Standing::Granted(_), was_held), held) => {
                    is_new |= !was_held;
                    held
                }
                Updated::Done((standing, _), _) => return Ok(recheck_soon(standing)),
                Updated::Foreign(_) if claim.intent == Intent::Amend => {
                    return Ok(Standing::Gone(LostReason::Gone));
                }
                Updated::Foreign(item) => {
                    let busy = Busy { holder: Some(foreign(&item)), ahead: None, recheck_in: RECHECK };
                    return Ok(Standing::Held(busy));
                }
                // Others may overtake it anyway: it waits without a place in the queue.
                Updated::NoRoom((Standing::Waiting(busy), _), ..) if claim.queueing == Queueing::Barging => {
                    return Ok(recheck_soon(Standing::Held(busy)));
                }
                Updated::NoRoom(_, full, _) => return Err(full),
            };
            match self.grant(keys, claim, is_new, held).await? {
                ControlFlow::Break(grant) => return Ok(Standing::Granted(grant)),
                ControlFlow::Continue(now) => record = now,
            }
        }
        Err(too_contended())
    }

    /// The grant of a hold, once its token and all later ones are as high as the claim demands; or the record when it is
    /// no hold any more.
    async fn grant(
        &self,
        keys: &LockKeys,
        claim: &Claim,
        is_new: bool,
        mut record: LockRecord,
    ) -> Result<ControlFlow<Grant, LockRecord>> {
        let floor = claim.fence_floor.max(claim.fence_proposal.filter(|_| is_new));
        for _ in 0..ATTEMPTS_MAX {
            let Some((own, entry)) = record.held_by(claim.id) else {
                return Ok(ControlFlow::Continue(record));
            };
            let Some(fence) = entry.fence else { return Ok(ControlFlow::Continue(record)) };
            let wanted = fence.max(floor.unwrap_or(fence));
            if wanted.get() > own.token {
                self.raise_offset(keys, wanted.get() - (own.token - record.offset)).await?;
                record = self.record(keys).await?;
            } else if fence < wanted {
                let mut entries = own.document.entries().to_vec();
                entries.iter_mut().filter(|it| it.id == claim.id).for_each(|it| it.fence = Some(wanted));
                let (Written::Done(now) | Written::Conflict(now)) =
                    self.write(keys, &record, own, entries, Some(claim.id)).await??;
                record = now;
            } else {
                self.remember(claim.id, &record);
                return Ok(ControlFlow::Break(Grant {
                    fence: Some(fence),
                    valid_for: record.valid_for(own, entry),
                    remembers_for: record.server.remembers_for(self.env.now()),
                }));
            }
        }
        Err(too_contended().unknown())
    }
}

/// Answers a claim, and whether it held the lock before. With `in_demand` one that can wait without a place changes nothing:
/// it would lose to others again.
fn decide(state: &mut LockState, claim: &Claim, now: Moment, in_demand: bool) -> Result<(Standing, bool)> {
    let before = state.clone();
    let own = before.entries().iter().find(|it| it.id == claim.id);
    let was_held = own.is_some_and(|it| it.state == State::Held);
    let standing = state.claim(claim, None, now, |_| Ok(Some(PENDING)))?;
    match standing {
        Standing::Granted(_) => {
            // An entry that was extended in place before its token was written down gets a higher one.
            let mut entries = state.entries().to_vec();
            for entry in entries.iter_mut().filter(|entry| entry.id == claim.id) {
                entry.fence.get_or_insert(PENDING);
            }
            *state = LockState::of(entries);
        }
        Standing::Waiting(busy) if in_demand && own.is_none() && claim.queueing == Queueing::Barging => {
            *state = before;
            return Ok((Standing::Held(busy), false));
        }
        Standing::Waiting(_) if is_queued(&before, claim, now) => *state = before,
        _ => {}
    }
    Ok((standing, was_held))
}

/// Whether the document has the waiter as it is, for long enough that it need not be written again.
fn is_queued(before: &LockState, claim: &Claim, now: Moment) -> bool {
    let same = |entry: &&Entry| {
        entry.id == claim.id
            && entry.mode == claim.mode
            && entry.queueing == claim.queueing
            && entry.lock_delay == claim.lock_delay
            && entry.note == claim.note
    };
    let found = before.entries().iter().find(same);
    found.is_some_and(|entry| entry.expires.since(now) * 3 >= claim.ttl * 2)
}

fn recheck_soon(standing: Standing) -> Standing {
    let soon = |busy: Busy| Busy { recheck_in: busy.recheck_in.min(RECHECK), ..busy };
    match standing {
        Standing::Held(busy) => Standing::Held(soon(busy)),
        Standing::Waiting(busy) => Standing::Waiting(soon(busy)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{ClaimId, LockName};

    use super::*;

    fn claim(bits: u128, queueing: Queueing) -> Claim {
        let name = LockName::new("x").unwrap();
        Claim { queueing, ..Claim::new(name, ClaimId::from_bits(bits), Duration::from_secs(30)) }
    }

    #[test]
    fn a_claim_that_may_be_overtaken_needs_no_place_where_it_loses_to_others() {
        let (mut state, now) = (LockState::default(), Moment::from_nanos(1_000_000_000));
        let held = decide(&mut state, &claim(1, Queueing::No), now, true).unwrap();
        assert!(matches!(held, (Standing::Granted(_), false)), "a free lock is taken: {held:?}");
        for (bits, queueing, in_demand, entries) in [
            (2, Queueing::Barging, true, 1),
            (3, Queueing::Barging, false, 2),
            (4, Queueing::Fifo, true, 3),
            (3, Queueing::Barging, true, 3),
        ] {
            let (standing, _) = decide(&mut state, &claim(bits, queueing), now, in_demand).unwrap();
            assert_eq!(state.entries().len(), entries, "claim {bits}");
            let has_place = matches!(standing, Standing::Waiting(_));
            assert_eq!(has_place, bits != 2, "claim {bits}: {standing:?}");
        }
    }
}
