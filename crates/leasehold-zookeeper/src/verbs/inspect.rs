//! The operations `inspect` and `force_release`.

use leasehold_core::{Contender, FencingToken, LockName, Result, Snapshot, Stance};

use crate::{
    client::Client,
    error::ServerError,
    fencing_token,
    node_name::NodeKind,
    queue::{Member, Queue, stances},
    session::LiveSession,
};

pub(crate) async fn inspect(client: &Client, name: &LockName) -> Result<Snapshot> {
    let live = client.session.ready().await?;
    inspect_now(client, &live, name).await.map_err(ServerError::into_error)
}

async fn inspect_now(client: &Client, live: &LiveSession, name: &LockName) -> Result<Snapshot, ServerError> {
    let children = client.children(live, name).await?;
    let raised = fencing_token::among(client, live, name, &children).await?;
    let mut snapshot = snapshot(client, live, name, &children).await?;
    snapshot.fence = snapshot.fence.max(raised.and_then(|(raised, _)| FencingToken::new(raised).ok()));
    Ok(snapshot)
}

pub(crate) async fn snapshot(
    client: &Client,
    live: &LiveSession,
    name: &LockName,
    children: &[String],
) -> Result<Snapshot, ServerError> {
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    for (stance, member) in members(client, live, name, children).await? {
        match stance {
            Stance::Waiting => waiters.push(member.contender(stance)),
            _ => holders.push(member.contender(stance)),
        }
    }
    let fence = holders.iter().filter_map(|holder: &Contender| holder.fence).max();
    Ok(Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() })
}

/// The present holders.
pub(crate) async fn holders(
    client: &Client,
    live: &LiveSession,
    name: &LockName,
) -> Result<Vec<Member>, ServerError> {
    let children = client.children(live, name).await?;
    let members = members(client, live, name, &children).await?.into_iter();
    Ok(members.filter(|(stance, _)| *stance == Stance::Holding).map(|(_, member)| member).collect())
}

/// The visible members of the queue whose time is not over, and their state.
async fn members(
    client: &Client,
    live: &LiveSession,
    name: &LockName,
    children: &[String],
) -> Result<Vec<(Stance, Member)>, ServerError> {
    let queue = Queue::of(client.dialect, children, None);
    let mut members = client.members(live, name, &queue.members).await?;
    members.retain(|member| !member.is_over());
    let stances = stances(&members);
    Ok(stances.into_iter().zip(members).filter_map(|(stance, member)| Some((stance?, member))).collect())
}

pub(crate) async fn force_release(client: &Client, name: &LockName) -> Result<Vec<Contender>> {
    let live = client.session.ready().await?;
    evict(client, &live, name).await.map_err(ServerError::into_error)
}

/// Deletes the nodes of all holders. A later claim has a higher token than any of them: theirs is the id of an earlier
/// transaction, or a raised one that is recorded.
async fn evict(client: &Client, live: &LiveSession, name: &LockName) -> Result<Vec<Contender>, ServerError> {
    let children = client.children(live, name).await?;
    let directory = client.paths.lock(name);
    let mut evicted = Vec::new();
    for (stance, member) in members(client, live, name, &children).await? {
        if stance == Stance::Waiting {
            continue;
        }
        let was_there = client.delete(live, &member.path, None).await?;
        if let Some(id) = member.name.id.filter(|_| member.name.kind == NodeKind::Contender) {
            let marker = client.dialect.delay_marker(id, member.name.number);
            if children.contains(&marker) {
                client.delete(live, &format!("{directory}/{marker}"), None).await?;
            }
        }
        if was_there {
            evicted.push(member.contender(stance));
        }
    }
    Ok(evicted)
}
