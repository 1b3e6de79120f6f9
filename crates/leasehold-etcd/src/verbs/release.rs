//! The release, the release by force, and the end of a client.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_core::{
    Claim, ClaimId, Contender, Error, ErrorKind, LockName, Outcome, Release, Result, Stance,
};

use crate::{
    client::Client,
    format::Value,
    keys::Keys,
    leases::Lease,
    own_claims::{ClaimState, OwnClaim},
    protocol::TxnRequest,
    queue::{Entry, find},
    txn::{self, OPERATIONS_MAX, created, delete, get, present, put, range, unchanged},
    verbs::inspect::{contender, queues},
};

/// The operations for one holder that is released by force.
const EVICTION_OPERATIONS: usize = 3;

/// Ends the hold of a claim, or leaves the queue.
pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let own = client.own_claims.get(claim.id);
    let _exclusive = match &own {
        Some(own) => Some(client.exclude_verbs(own).await?),
        None => None,
    };
    client.state.check_open()?;
    // What is given back is in the hands of this release alone, not in those of another that waits for it.
    let take = |own: &Arc<OwnClaim>| std::mem::take(&mut *own.state.lock());
    let known = own.as_ref().map(take).unwrap_or_default();
    let restore = |known: ClaimState| own.iter().for_each(|own| *own.state.lock() = known.clone());
    match end_hold(client, claim, &known).await {
        Ok(release) => {
            client.own_claims.remove(claim.id);
            Ok(release)
        }
        Err(error) if error.outcome() == Outcome::NotApplied => {
            restore(known);
            Err(error)
        }
        Err(error) => {
            // It may arrive later; by then nothing may live by these leases, or have the same key.
            restore(ClaimState { in_doubt: true, client_key: None, ..known });
            Err(error)
        }
    }
}

async fn end_hold(client: &Client, claim: &Claim, known: &ClaimState) -> Result<Release> {
    if came_too_late(client, known).await? {
        return Ok(Release::NotHeld);
    }
    let released = delete_place(client, claim, known).await?;
    if known.in_doubt {
        // The claim itself may arrive later: it names leases that do not exist any more then.
        for lease in known.leases.iter().flat_map(|leases| leases.all()) {
            client.leases.revoke(lease.id).await.map_err(Error::unknown)?;
        }
    } else {
        known.leases.into_iter().for_each(|leases| client.leases.give_back(leases));
        known.client_key.iter().for_each(|key| key.give_back());
    }
    Ok(if released { Release::Released } else { Release::NotHeld })
}

/// Whether a hold with a lock-delay has ended by itself, so that its delay runs. etcd is asked, because it may not have
/// revoked an expired lease yet.
async fn came_too_late(client: &Client, known: &ClaimState) -> Result<bool> {
    let is_known = known.held || !known.in_doubt;
    let Some(leases) = known.leases.filter(|leases| leases.delay.is_some() && is_known) else {
        return Ok(false);
    };
    if client.env.now() < leases.place.until {
        return Ok(false);
    }
    Ok(client.leases.keep(leases.place).await?.is_none())
}

async fn delete_place(client: &Client, claim: &Claim, known: &ClaimState) -> Result<bool> {
    let (keys, id) = (Keys::of(&claim.name), claim.id);
    let (ends, failure) =
        (|place| vec![delete(place), delete(keys.delay(id))], vec![delete(keys.revoked(id))]);
    let Some(place) = known.place.clone().filter(|_| !known.in_doubt) else {
        return delete_found(client, &keys, id).await;
    };
    let has_delay = known.leases.is_none_or(|leases| leases.delay.is_some());
    if !has_delay && known.client_key.as_ref().is_some_and(|key| keys.client(key.id) == place) {
        // Nobody else writes it, and this client does when this is answered: it needs no comparison.
        let deleted = client.delete(place).await?;
        if !deleted {
            client.txn(txn::only_if(Vec::new(), failure)).await?;
        }
        return Ok(deleted);
    }
    let compare = vec![created(place.clone(), known.create)];
    Ok(client.txn(TxnRequest { compare, success: ends(place), failure }).await?.succeeded)
}

/// Ends the hold of a claim whose place is not known, or may have been made since. Where two clients have claimed it, it may
/// wait in one key and hold in another.
async fn delete_found(client: &Client, keys: &Keys, id: ClaimId) -> Result<bool> {
    let ends = |place| vec![delete(place), delete(keys.delay(id)), range(keys.range())];
    let request = TxnRequest {
        compare: vec![present(keys.place(id))],
        success: ends(keys.place(id)),
        failure: vec![delete(keys.revoked(id)), range(keys.range())],
    };
    let mut answer = client.txn(request).await?;
    let mut released = false;
    loop {
        released |= answer.succeeded;
        let Some(kv) = find(keys, id, txn::reads(answer).into_iter().flatten()) else { return Ok(released) };
        let compare = vec![created(kv.key.clone(), kv.create_revision)];
        let (success, failure) = (ends(kv.key), vec![range(keys.range())]);
        answer = client.txn(TxnRequest { compare, success, failure }).await.map_err(Error::unknown)?;
    }
}

/// Ends every hold and every delay of a lock. Waiters stay.
pub(crate) async fn force_release(client: &Client, name: &LockName) -> Result<Vec<Contender>> {
    let keys = Keys::of(name);
    let mut evicted: Vec<Contender> = Vec::new();
    let until = client.env.now() + client.options.timeout * 2;
    loop {
        let queues = queues(client, std::slice::from_ref(name)).await?;
        let Some(queue) = queues.get(name) else { return Ok(evicted) };
        let holders = queue.entries.iter().filter(|entry| entry.stance != Stance::Waiting);
        let some: Vec<&Entry> = holders.take(OPERATIONS_MAX / EVICTION_OPERATIONS).collect();
        if some.is_empty() {
            return Ok(evicted);
        }
        if evict(client, &keys, &some).await? {
            evicted.extend(some.iter().map(|entry| contender(client, queue, entry)));
        } else if client.env.now() > until {
            let message = "the holders change faster than they can be released";
            return Err(Error::new(ErrorKind::TimedOut, message).unknown());
        }
    }
}

/// Deletes these entries if none of them has changed. Their claims are marked for the time of their lease, so that none
/// comes back by repeating itself.
async fn evict(client: &Client, keys: &Keys, entries: &[&Entry]) -> Result<bool> {
    let compare = entries.iter().map(|entry| unchanged(entry.key.clone(), entry.modified)).collect();
    let mut success = Vec::new();
    for entry in entries {
        success.push(delete(entry.key.clone()));
        if let Some(id) = entry.id.filter(|_| entry.stance == Stance::Holding) {
            success.push(delete(keys.delay(id)));
            success.push(put(keys.revoked(id), Vec::new(), entry.lease));
        }
    }
    let done = client.txn_on_lease(txn::only_if(compare, success)).await?;
    // Without the lease, one of them has just ended by itself.
    Ok(done.is_some_and(|answer| answer.succeeded))
}

/// Closes a client and ends the holds that are bound to it; detached ones stay.
pub(crate) async fn close(client: &Client) -> Result<()> {
    if !client.state.close() {
        return Ok(());
    }
    client.break_watches();
    let (spares, claims) = (client.leases.take_spares(), client.own_claims.take_all());
    let ends = claims.iter().map(|(id, own)| end(client, *id, own));
    let revoked = spares.iter().map(|lease| client.leases.revoke(lease.id));
    let (ended, spared) = tokio::join!(join_all(ends), join_all(revoked));
    client.cluster.close();
    // A lease that could not be revoked ends by itself; the first error is returned.
    ended.into_iter().chain(spared).find(Result::is_err).unwrap_or(Ok(()))
}

async fn end(client: &Client, id: ClaimId, own: &OwnClaim) -> Result<()> {
    let _exclusive = client.exclude_verbs(own).await?;
    let known = own.state.lock().clone();
    let Some(leases) = known.leases.filter(|_| !known.is_detached) else { return Ok(()) };
    let mut ends = vec![leases.place];
    match leases.delay {
        Some(delay) if known.held || known.in_doubt => {
            let place = known.place.map(|place| (place, known.create));
            ends.extend(start_delay(client, id, &own.keys, place, delay).await?);
        }
        delay => ends.extend(delay),
    }
    for lease in ends {
        client.leases.revoke(lease.id).await?;
    }
    Ok(())
}

/// Ends a hold now, without a release: the lock stays shut for its delay, and not for the rest of the hold as well. Returns
/// the lease that is free then; `None` when the delay runs already, and stays as it is.
async fn start_delay(
    client: &Client,
    id: ClaimId,
    keys: &Keys,
    place: Option<(Vec<u8>, i64)>,
    lease: Lease,
) -> Result<Option<Lease>> {
    let answer = client.txn(txn::read_only([get(keys.delay(id))])).await?;
    let found = txn::reads(answer).into_iter().flatten().next();
    let Some((kv, value)) = found.and_then(|kv| Value::read(&kv.value).map(|value| (kv, value))) else {
        return Ok(None);
    };
    let short = client.leases.grant(value.delay_s.max(1)).await?;
    let (place, is_there) = match place {
        Some((place, create)) => (place.clone(), created(place, create)),
        None => (keys.place(id), present(keys.place(id))),
    };
    let compare = vec![is_there, unchanged(keys.delay(id), kv.mod_revision)];
    let success = vec![delete(place), put(kv.key, kv.value, short.id)];
    let moved = client.txn(txn::only_if(compare, success)).await?.succeeded;
    if !moved {
        client.leases.revoke(short.id).await?;
    }
    Ok(moved.then_some(lease))
}
