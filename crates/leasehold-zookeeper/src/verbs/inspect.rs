//! The operations `inspect` and `force_release`.

use leasehold_core::{Contender, FencingToken, LockName, Result, Snapshot, Stance};

use crate::{
    client::Client,
    lock_record::LockRecord,
    queue::{Member, Queue, stances},
};

pub(crate) async fn inspect(client: &Client, name: &LockName) -> Result<Snapshot> {
    let lock = client.lock(name).await?;
    let children = lock.children().await?;
    let raised = lock.raised_among(&children).await?;
    let mut snapshot = snapshot(&lock, name, &children).await?;
    snapshot.fence = snapshot.fence.max(raised.and_then(|(raised, _)| FencingToken::new(raised).ok()));
    Ok(snapshot)
}

pub(super) async fn snapshot(
    lock: &LockRecord<'_>,
    name: &LockName,
    children: &[String],
) -> Result<Snapshot> {
    let members = members(lock, children).await?.into_iter();
    let contenders = members.map(|(stance, member)| member.contender(stance));
    let (waiters, holders): (Vec<_>, Vec<_>) = contenders.partition(|it| it.stance == Stance::Waiting);
    let fence = holders.iter().filter_map(|holder| holder.fence).max();
    Ok(Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() })
}

/// The visible members of the queue whose time is not over, and their state.
pub(crate) async fn members(lock: &LockRecord<'_>, children: &[String]) -> Result<Vec<(Stance, Member)>> {
    let queue = Queue::of(lock.client.dialect, children, None);
    let mut members = lock.members(&queue.members).await?;
    members.retain(|member| !member.is_over());
    let stances = stances(&members);
    Ok(stances.into_iter().zip(members).filter_map(|(stance, member)| Some((stance?, member))).collect())
}

/// Deletes the nodes of all holders. A later claim has a higher token than any of them: theirs is the id of an earlier
/// transaction, or a raised one that is recorded.
pub(crate) async fn force_release(client: &Client, name: &LockName) -> Result<Vec<Contender>> {
    let lock = client.lock(name).await?;
    let children = lock.children().await?;
    let mut evicted = Vec::new();
    for (stance, member) in members(&lock, &children).await? {
        let has_delay_marker = children.contains(&member.name.delay_marker());
        if stance != Stance::Waiting && lock.remove(&member.name, has_delay_marker).await? {
            evicted.push(member.contender(stance));
        }
    }
    Ok(evicted)
}
