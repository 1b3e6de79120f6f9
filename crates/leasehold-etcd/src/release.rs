//! The release, and the end of a client.

use std::sync::Arc;

use leasehold_core::{Claim, ClaimId, Release, Result};

use crate::{
    keys::Keys,
    leases::Lease,
    members::{Refused, locked},
    messages::{TxnRequest, TxnResponse},
    session::Session,
    slot::{Known, Slot},
    txn::{self, created, delete, get, present, put, unchanged},
    value::Value,
};

/// Ends the hold of a claim, or leaves the queue.
pub(crate) async fn release(
    session: &Arc<Session>,
    claim: &Claim,
    slot: Option<Arc<Slot>>,
) -> Result<Release> {
    // After whatever is under way for this claim.
    let turn = match &slot {
        Some(slot) => Some(session.turn(slot).await?),
        None => None,
    };
    session.refuse_closed()?;
    let known = slot.as_ref().map(|slot| locked(&slot.known).clone()).unwrap_or_default();
    if came_too_late(session, &known).await? {
        session.forget(claim.id);
        return Ok(Release::NotHeld);
    }
    let released = delete_place(session, claim, &known).await;
    let released = match released {
        Ok(released) => released,
        Err(error) => {
            // It may arrive later; nothing that lives by these leases may be left by then.
            if let Some(slot) = &slot {
                locked(&slot.known).in_doubt = true;
            }
            return Err(error);
        }
    };
    if known.in_doubt {
        // The claim itself may still be on its way: it names leases that are not there any more when it arrives.
        for lease in [known.lease, known.delay].into_iter().flatten() {
            session.leases.revoke(lease.id).await.map_err(leasehold_core::Error::unknown)?;
        }
    } else {
        give_back(session, &known);
    }
    session.forget(claim.id);
    drop(turn);
    Ok(if released { Release::Released } else { Release::NotHeld })
}

/// A hold whose time is over leaves its lock-delay, also when etcd has not looked yet: it is asked to decide.
async fn came_too_late(session: &Session, known: &Known) -> Result<bool> {
    let (Some(place), Some(_), false) = (known.lease, known.delay, known.in_doubt) else { return Ok(false) };
    if session.env.now() < place.until {
        return Ok(false);
    }
    Ok(session.leases.keep(place).await?.is_none())
}

async fn delete_place(session: &Session, claim: &Claim, known: &Known) -> Result<bool> {
    let (keys, id) = (Keys::of(&claim.name), claim.id);
    let mine = if known.create > 0 && !known.in_doubt {
        created(keys.place(id), known.create)
    } else {
        present(keys.place(id))
    };
    let request = TxnRequest {
        compare: vec![mine],
        success: vec![delete(keys.place(id)), delete(keys.delay(id))],
        failure: vec![delete(keys.revoked(id))],
    };
    session.txn(request).await.map(|answer| answer.succeeded).map_err(Refused::into)
}

fn give_back(session: &Session, known: &Known) {
    if let Some(place) = known.lease {
        session.leases.give_back(place);
    }
    if let Some(delay) = known.delay {
        session.leases.discard(delay.id);
    }
}

/// Ends what is bound to this client; what outlives it stays.
pub(crate) async fn close(session: &Arc<Session>) -> Result<()> {
    if !session.shut() {
        return Ok(());
    }
    session.break_watches();
    let spares = session.leases.take_spares();
    let slots = session.take_slots();
    let ends = slots.iter().map(|(id, slot)| end(session, *id, slot));
    let revoked = spares.iter().map(|lease| session.leases.revoke(lease.id));
    let (ended, spared) =
        tokio::join!(futures_util::future::join_all(ends), futures_util::future::join_all(revoked));
    session.members.close();
    // What could not be revoked ends by itself; the first reason is told.
    ended.into_iter().chain(spared).find(Result::is_err).unwrap_or(Ok(()))
}

async fn end(session: &Session, id: ClaimId, slot: &Slot) -> Result<()> {
    let _turn = session.turn(slot).await?;
    let known = locked(&slot.known).clone();
    if known.is_detached {
        return Ok(());
    }
    let mut ends = vec![known.lease];
    match known.delay {
        Some(delay) if known.held || known.in_doubt => {
            if let Some(moved) = shut_for_delay(session, id, &known, delay).await? {
                ends.push(Some(moved));
            }
        }
        delay => ends.push(delay),
    }
    for lease in ends.into_iter().flatten() {
        session.leases.revoke(lease.id).await?;
    }
    Ok(())
}

/// The hold ends now and without a release: the lock stays shut for the delay, and not for what was left of the hold as
/// well. Answers the lease that nothing lives by any more; none when the delay runs already, as it is.
async fn shut_for_delay(
    session: &Session,
    id: ClaimId,
    known: &Known,
    lease: Lease,
) -> Result<Option<Lease>> {
    let Some(keys) = &known.keys else { return Ok(None) };
    let read = TxnRequest { success: vec![get(keys.delay(id))], ..TxnRequest::default() };
    let answer: TxnResponse = session.txn(read).await?;
    let found = txn::reads(answer).into_iter().flatten().next();
    let Some((kv, value)) = found.and_then(|kv| Value::read(&kv.value).map(|value| (kv, value))) else {
        return Ok(None);
    };
    let short = session.leases.grant(value.delay_s.max(1)).await?;
    let request = TxnRequest {
        compare: vec![present(keys.place(id)), unchanged(keys.delay(id), kv.mod_revision)],
        success: vec![delete(keys.place(id)), put(kv.key, kv.value, short.id)],
        failure: Vec::new(),
    };
    let moved = session.txn(request).await?.succeeded;
    if !moved {
        session.leases.revoke(short.id).await?;
    }
    Ok(moved.then_some(lease))
}
