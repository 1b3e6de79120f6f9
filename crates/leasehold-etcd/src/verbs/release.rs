//! The release, and the end of a client.

use std::sync::Arc;

use leasehold_core::{Claim, ClaimId, Release, Result};

use crate::{
    client::ClientState,
    format::Value,
    keys::Keys,
    leases::Lease,
    own_claims::{ClaimState, OwnClaim},
    proto::{TxnRequest, TxnResponse},
    transport::{Refused, locked},
    txn::{self, created, delete, get, present, put, unchanged},
};

/// Ends the hold of a claim, or leaves the queue.
pub(crate) async fn release(
    client: &Arc<ClientState>,
    claim: &Claim,
    slot: Option<Arc<OwnClaim>>,
) -> Result<Release> {
    // After whatever is under way for this claim.
    let turn = match &slot {
        Some(slot) => Some(client.turn(slot).await?),
        None => None,
    };
    client.refuse_closed()?;
    let known = slot.as_ref().map(|slot| locked(&slot.known).clone()).unwrap_or_default();
    if came_too_late(client, &known).await? {
        client.forget(claim.id);
        return Ok(Release::NotHeld);
    }
    let released = delete_place(client, claim, &known).await;
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
            client.leases.revoke(lease.id).await.map_err(leasehold_core::Error::unknown)?;
        }
    } else {
        give_back(client, &known);
    }
    client.forget(claim.id);
    drop(turn);
    Ok(if released { Release::Released } else { Release::NotHeld })
}

/// A hold whose time is over leaves its lock-delay, also when etcd has not looked yet: it is asked to decide.
async fn came_too_late(client: &ClientState, known: &ClaimState) -> Result<bool> {
    let (Some(place), Some(_), false) = (known.lease, known.delay, known.in_doubt) else { return Ok(false) };
    if client.env.now() < place.until {
        return Ok(false);
    }
    Ok(client.leases.keep(place).await?.is_none())
}

async fn delete_place(client: &ClientState, claim: &Claim, known: &ClaimState) -> Result<bool> {
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
    client.txn(request).await.map(|answer| answer.succeeded).map_err(Refused::into)
}

fn give_back(client: &ClientState, known: &ClaimState) {
    if let Some(place) = known.lease {
        client.leases.give_back(place);
    }
    if let Some(delay) = known.delay {
        client.leases.discard(delay.id);
    }
}

/// Ends what is bound to this client; what outlives it stays.
pub(crate) async fn close(client: &Arc<ClientState>) -> Result<()> {
    if !client.shut() {
        return Ok(());
    }
    client.break_watches();
    let spares = client.leases.take_spares();
    let slots = client.take_slots();
    let ends = slots.iter().map(|(id, slot)| end(client, *id, slot));
    let revoked = spares.iter().map(|lease| client.leases.revoke(lease.id));
    let (ended, spared) =
        tokio::join!(futures_util::future::join_all(ends), futures_util::future::join_all(revoked));
    client.members.close();
    // What could not be revoked ends by itself; the first reason is told.
    ended.into_iter().chain(spared).find(Result::is_err).unwrap_or(Ok(()))
}

async fn end(client: &ClientState, id: ClaimId, slot: &OwnClaim) -> Result<()> {
    let _turn = client.turn(slot).await?;
    let known = locked(&slot.known).clone();
    if known.is_detached {
        return Ok(());
    }
    let mut ends = vec![known.lease];
    match known.delay {
        Some(delay) if known.held || known.in_doubt => {
            if let Some(moved) = shut_for_delay(client, id, &known, delay).await? {
                ends.push(Some(moved));
            }
        }
        delay => ends.push(delay),
    }
    for lease in ends.into_iter().flatten() {
        client.leases.revoke(lease.id).await?;
    }
    Ok(())
}

/// The hold ends now and without a release: the lock stays shut for the delay, and not for what was left of the hold as
/// well. Answers the lease that nothing lives by any more; none when the delay runs already, as it is.
async fn shut_for_delay(
    client: &ClientState,
    id: ClaimId,
    known: &ClaimState,
    lease: Lease,
) -> Result<Option<Lease>> {
    let Some(keys) = &known.keys else { return Ok(None) };
    let read = TxnRequest { success: vec![get(keys.delay(id))], ..TxnRequest::default() };
    let answer: TxnResponse = client.txn(read).await?;
    let found = txn::reads(answer).into_iter().flatten().next();
    let Some((kv, value)) = found.and_then(|kv| Value::read(&kv.value).map(|value| (kv, value))) else {
        return Ok(None);
    };
    let short = client.leases.grant(value.delay_s.max(1)).await?;
    let request = TxnRequest {
        compare: vec![present(keys.place(id)), unchanged(keys.delay(id), kv.mod_revision)],
        success: vec![delete(keys.place(id)), put(kv.key, kv.value, short.id)],
        failure: Vec::new(),
    };
    let moved = client.txn(request).await?.succeeded;
    if !moved {
        client.leases.revoke(short.id).await?;
    }
    Ok(moved.then_some(lease))
}
