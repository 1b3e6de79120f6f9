//! The holders and waiters of locks.

use std::collections::BTreeMap;

use leasehold_core::{Contender, Error, ErrorKind, LockName, Result, Snapshot, Stance};

use crate::{
    client::Client,
    keys::Keys,
    queue::{Entry, Queue},
    txn::{self, OPERATIONS_MAX, get, range},
};

/// Times that locks are read again because a lease has just ended.
const READS_MAX: usize = 4;

/// The holders and waiters of one lock.
pub(crate) async fn inspect(client: &Client, name: &LockName) -> Result<Snapshot> {
    let snapshot = snapshots(client, std::slice::from_ref(name)).await?.pop();
    snapshot.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a lock was read and not answered"))
}

/// The holders and waiters of several locks, in the order of their names here.
pub(super) async fn snapshots(client: &Client, names: &[LockName]) -> Result<Vec<Snapshot>> {
    let mut queues = queues(client, names).await?;
    for _ in 0..READS_MAX {
        let entries = queues.values().flat_map(|queue| &queue.entries);
        if !client.await_expiry(entries).await? {
            break;
        }
        queues = self::queues(client, names).await?;
    }
    let snapshot = |name| snapshot(client, name, &queues.remove(name).unwrap_or_default());
    Ok(names.iter().map(snapshot).collect())
}

/// The queues of several locks, without a look at leases that are about to end.
pub(super) async fn queues(client: &Client, names: &[LockName]) -> Result<BTreeMap<LockName, Queue>> {
    let mut queues = BTreeMap::new();
    for some in names.chunks(OPERATIONS_MAX / 2) {
        let reads = some.iter().map(Keys::of).flat_map(|keys| [range(keys.range()), get(keys.fence())]);
        let answer = client.txn(txn::read_only(reads)).await?;
        let revision = answer.header.revision;
        let mut found = txn::reads(answer).into_iter();
        for name in some {
            let (kvs, fence) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
            queues.insert(name.clone(), Queue::read(&Keys::of(name), kvs, fence.first(), revision));
        }
    }
    Ok(queues)
}

fn snapshot(client: &Client, name: &LockName, queue: &Queue) -> Snapshot {
    let contenders = queue.entries.iter().map(|entry| contender(client, queue, entry));
    let (holders, waiters): (Vec<_>, Vec<_>) = contenders.partition(|it| it.stance != Stance::Waiting);
    let fence = holders.iter().filter_map(|holder| holder.fence).max();
    Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
}

/// An entry as users see it. The remaining time is that of its lease, if the lease was looked up.
pub(super) fn contender(client: &Client, queue: &Queue, entry: &Entry) -> Contender {
    let mut contender = queue.contender(entry, client.env.wall_us());
    if contender.expires_in.is_none() {
        contender.expires_in = client.leases.lives_for(entry.lease);
    }
    contender
}
