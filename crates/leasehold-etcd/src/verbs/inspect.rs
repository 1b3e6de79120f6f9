//! Looking at locks, and opening them by force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use leasehold_core::{Contender, Error, ErrorKind, LockName, Result, Snapshot, Stance};

use crate::{
    client::ClientState,
    format::{State, Value},
    keys::{self, Keys, Part},
    proto::{KeyValue, RangeRequest, RangeResponse, TxnRequest},
    queue::{Entry, Queue},
    transport::Refused,
    txn::{self, OPERATIONS_MAX, delete, get, put, range, unchanged},
    watcher::RANGE,
};

/// So many keys are read at a time.
const PAGE: i64 = 1000;
/// How often what has just ended is read again.
const LOOKS_MAX: usize = 4;
/// What is done for one holder that is thrown out.
const DELETIONS: usize = 3;

/// Who holds and who waits.
pub(crate) async fn inspect(client: &Arc<ClientState>, name: &LockName) -> Result<Snapshot> {
    client.refuse_closed()?;
    let mut snapshots = snapshots(client, std::slice::from_ref(name)).await?;
    snapshots
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "one question was not answered with one answer"))
}

/// The locks in use whose names begin with `prefix`.
pub(crate) async fn list(client: &Arc<ClientState>, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    client.refuse_closed()?;
    let names: Vec<LockName> = names(client, prefix, limit).await?.into_iter().collect();
    let mut listed = snapshots(client, &names).await?;
    // What has ended while it was looked at is not in use.
    listed.retain(|snapshot| !(snapshot.holders.is_empty() && snapshot.waiters.is_empty()));
    Ok(listed)
}

/// The first names in their order, which is not that of the keys.
async fn names(client: &ClientState, prefix: &str, limit: usize) -> Result<BTreeSet<LockName>> {
    let (mut first, end) = keys::beginning_with(prefix);
    let mut names = BTreeSet::new();
    loop {
        let request = RangeRequest {
            key: first.clone(),
            range_end: end.clone(),
            limit: PAGE,
            ..RangeRequest::default()
        };
        let page: RangeResponse = client.members.call(RANGE, request).await?;
        for kv in &page.kvs {
            if let Some(name) = in_use(kv).filter(|name| name.as_str().starts_with(prefix)) {
                names.insert(name);
                if names.len() > limit {
                    names.pop_last();
                }
            }
        }
        match page.kvs.last() {
            // The key after is the same with a zero.
            Some(last) if page.more => first = [&last.key[..], &[0]].concat(),
            _ => return Ok(names),
        }
    }
}

/// The lock that a key shows to be in use.
fn in_use(kv: &KeyValue) -> Option<LockName> {
    let (name, part) = keys::split(&kv.key)?;
    let shows = match part {
        Part::Place(_) => Value::read(&kv.value).is_some(),
        Part::Delay(_) => Value::read(&kv.value).is_some_and(|value| value.state == State::Armed),
        // Go's keys end in the lease that they live by; others are no locks.
        Part::Foreign => kv.lease != 0 && kv.key.ends_with(format!("/{:x}", kv.lease).as_bytes()),
    };
    shows.then_some(name)
}

async fn snapshots(client: &ClientState, names: &[LockName]) -> Result<Vec<Snapshot>> {
    let mut queues = queues(client, names).await?;
    for _ in 0..LOOKS_MAX {
        let entries = queues.values().flat_map(|queue| &queue.entries);
        if !client.decided(entries).await? {
            break;
        }
        queues = self::queues(client, names).await?;
    }
    let mut snapshots = Vec::with_capacity(names.len());
    for name in names {
        let queue = queues.remove(name).unwrap_or_default();
        snapshots.push(snapshot(client, name, &queue));
    }
    Ok(snapshots)
}

async fn queues(client: &ClientState, names: &[LockName]) -> Result<BTreeMap<LockName, Queue>> {
    let mut queues = BTreeMap::new();
    for some in names.chunks(OPERATIONS_MAX / 2) {
        let reads = some.iter().map(Keys::of).flat_map(|keys| [range(keys.range()), get(keys.fence())]);
        let request = TxnRequest { success: reads.collect(), ..TxnRequest::default() };
        let answer = client.txn(request).await?;
        let revision = answer.header.unwrap_or_default().revision;
        let mut found = txn::reads(answer).into_iter();
        for name in some {
            let (kvs, fence) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
            queues.insert(name.clone(), Queue::read(&Keys::of(name), kvs, fence.first(), revision));
        }
    }
    Ok(queues)
}

fn snapshot(client: &ClientState, name: &LockName, queue: &Queue) -> Snapshot {
    let (holders, waiters) = queue
        .entries
        .iter()
        .map(|entry| contender(client, queue, entry))
        .partition::<Vec<_>, _>(|contender| contender.stance != Stance::Waiting);
    let fence = holders.iter().filter_map(|holder| holder.fence).max();
    Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
}

fn contender(client: &ClientState, queue: &Queue, entry: &Entry) -> Contender {
    let mut contender = queue.contender(entry, client.env.wall_us());
    if contender.expires_in.is_none() {
        contender.expires_in = client.lives(entry.lease);
    }
    contender
}

/// Ends every hold and every delay. Those who wait stay.
pub(crate) async fn force_release(client: &Arc<ClientState>, name: &LockName) -> Result<Vec<Contender>> {
    client.refuse_closed()?;
    let keys = Keys::of(name);
    let mut evicted: Vec<Contender> = Vec::new();
    let until = client.env.now() + client.options.timeout * 2;
    loop {
        let queues = queues(client, std::slice::from_ref(name)).await?;
        let Some(queue) = queues.get(name) else { return Ok(evicted) };
        let holders = queue.entries.iter().filter(|entry| entry.stance != Stance::Waiting);
        let some: Vec<&Entry> = holders.take(OPERATIONS_MAX / DELETIONS).collect();
        if some.is_empty() {
            return Ok(evicted);
        }
        if evict(client, &keys, &some).await? {
            evicted.extend(some.iter().map(|entry| contender(client, queue, entry)));
        } else if client.env.now() > until {
            let error =
                Error::new(ErrorKind::TimedOut, "its holders change faster than they can be thrown out");
            return Err(error.unknown());
        }
    }
}

/// Throws out these, if nothing of them has changed. They are remembered as long as their lease lives: none of them may
/// come back by repeating itself.
async fn evict(client: &ClientState, keys: &Keys, entries: &[&Entry]) -> Result<bool> {
    let compare = entries.iter().map(|entry| unchanged(entry.key.clone(), entry.modified)).collect();
    let mut success = Vec::new();
    for entry in entries {
        success.push(delete(entry.key.clone()));
        if let Some(id) = entry.id.filter(|_| entry.stance == Stance::Holding) {
            success.push(delete(keys.delay(id)));
            success.push(put(keys.revoked(id), Vec::new(), entry.lease));
        }
    }
    let done = client.txn(TxnRequest { compare, success, failure: Vec::new() }).await;
    match done {
        Ok(answer) => Ok(answer.succeeded),
        // One of them has just ended by itself.
        Err(Refused::NoLease) => Ok(false),
        Err(Refused::Error(error)) => Err(error),
    }
}
