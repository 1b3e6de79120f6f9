//! The verbs that look at locks, and the one that forces them.

use futures_util::future::join;
use leasehold_core::{
    Contender, Error, ErrorKind, FencingToken, LockName, Result, ServerInfo, Snapshot, Stance,
};
use zookeeper_client::{Acls, CreateMode, MultiReadResult};

use crate::{
    client::ClientState,
    error::{Effect, ServerError},
    fencing_token, keys,
    node_name::NodeKind,
    queue::{Member, Queue, read, stances},
    session::LiveSession,
};

/// So many locks are looked at with one request.
const LOCKS_MAX: usize = 64;

pub(crate) async fn inspect(shared: &ClientState, name: &LockName) -> Result<Snapshot> {
    shared.link.refuse_closed()?;
    let live = shared.link.ready().await?;
    see(shared, &live, name).await.map_err(ServerError::into_error)
}

async fn see(shared: &ClientState, live: &LiveSession, name: &LockName) -> Result<Snapshot, ServerError> {
    let children = shared.children(live, name).await?;
    let raised = fencing_token::among(shared, live, name, &children).await?;
    let mut snapshot = snapshot(shared, live, name, &children).await?;
    snapshot.fence = snapshot.fence.max(raised.and_then(|(raised, _)| FencingToken::new(raised).ok()));
    Ok(snapshot)
}

async fn snapshot(
    shared: &ClientState,
    live: &LiveSession,
    name: &LockName,
    children: &[String],
) -> Result<Snapshot, ServerError> {
    let members = members(shared, live, name, children).await?;
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    for (stance, member) in stances(&members).into_iter().zip(&members) {
        match stance {
            Some(Stance::Waiting) => waiters.push(member.contender(Stance::Waiting)),
            Some(stance) => holders.push(member.contender(stance)),
            None => {}
        }
    }
    let fence = holders.iter().filter_map(|holder: &Contender| holder.fence).max();
    Ok(Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() })
}

/// Those that hold.
pub(crate) async fn holding(
    shared: &ClientState,
    live: &LiveSession,
    name: &LockName,
) -> Result<Vec<Member>, ServerError> {
    let children = shared.children(live, name).await?;
    let members = members(shared, live, name, &children).await?;
    let stances = stances(&members);
    let holding = members.into_iter().zip(stances).filter(|(_, stance)| *stance == Some(Stance::Holding));
    Ok(holding.map(|(member, _)| member).collect())
}

/// Those that stand in the queue and whose time is not over.
async fn members(
    shared: &ClientState,
    live: &LiveSession,
    name: &LockName,
    children: &[String],
) -> Result<Vec<Member>, ServerError> {
    let queue = Queue::of(shared.dialect, children, None);
    let mut members = read(shared, live, &shared.paths.lock(name), &queue.members).await?;
    members.retain(|member| !member.is_over());
    Ok(members)
}

pub(crate) async fn list(shared: &ClientState, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    shared.link.refuse_closed()?;
    let live = shared.link.ready().await?;
    list_now(shared, &live, prefix, limit).await.map_err(ServerError::into_error)
}

async fn list_now(
    shared: &ClientState,
    live: &LiveSession,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Snapshot>, ServerError> {
    let root = shared.paths.root();
    let all = join(live.client.sync(root), live.client.list_children(root));
    let (_, nodes) = shared.link.in_time(Effect::Reads, all).await?;
    let nodes = match nodes.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
        Err(ServerError::NoNode) => Vec::new(),
        other => other?,
    };
    let mut names: Vec<LockName> = nodes.iter().filter_map(|node| keys::decode(node)).collect();
    names.retain(|name| name.as_str().starts_with(prefix));
    names.sort_unstable();
    let mut found = Vec::new();
    for chunk in names.chunks(LOCKS_MAX) {
        for (name, children) in chunk.iter().zip(children_of(shared, live, chunk).await?) {
            if found.len() >= limit {
                return Ok(found);
            }
            if children.is_empty() {
                continue;
            }
            let snapshot = snapshot(shared, live, name, &children).await?;
            if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                found.push(snapshot);
            }
        }
    }
    Ok(found)
}

async fn children_of(
    shared: &ClientState,
    live: &LiveSession,
    names: &[LockName],
) -> Result<Vec<Vec<String>>, ServerError> {
    let mut reader = live.client.new_multi_reader();
    for name in names {
        let path = shared.paths.lock(name);
        reader.add_get_children(&path).map_err(|foreign| ServerError::of(foreign, Effect::Reads))?;
    }
    let results = shared.link.ask(Effect::Reads, reader.commit()).await?;
    let children = |result| match result {
        MultiReadResult::Children { children } => children,
        // It went meanwhile, or is not ours to look at.
        _ => Vec::new(),
    };
    Ok(results.into_iter().map(children).collect())
}

pub(crate) async fn force_release(shared: &ClientState, name: &LockName) -> Result<Vec<Contender>> {
    shared.link.refuse_closed()?;
    let live = shared.link.ready().await?;
    force(shared, &live, name).await.map_err(ServerError::into_error)
}

/// Whoever comes after has a higher token than any of those who are thrown out: theirs is the number of an earlier
/// transaction, or one that the counter of raised tokens knows.
async fn force(
    shared: &ClientState,
    live: &LiveSession,
    name: &LockName,
) -> Result<Vec<Contender>, ServerError> {
    let children = shared.children(live, name).await?;
    let members = members(shared, live, name, &children).await?;
    let directory = shared.paths.lock(name);
    let mut evicted = Vec::new();
    for (stance, member) in stances(&members).into_iter().zip(&members) {
        let Some(stance) = stance.filter(|stance| *stance != Stance::Waiting) else { continue };
        let was_there = shared.delete(live, &member.path, None).await?;
        if let Some(id) = member.sibling.id.filter(|_| member.sibling.kind == NodeKind::Contender) {
            let delay_marker =
                format!("{directory}/{}", shared.dialect.delay_marker(id, member.sibling.number));
            if children.iter().any(|child| delay_marker.ends_with(child.as_str())) {
                shared.delete(live, &delay_marker, None).await?;
            }
        }
        if was_there {
            evicted.push(member.contender(stance));
        }
    }
    Ok(evicted)
}

/// Which store this is: a number that the first client ever wrote, for all of them, under whatever chroot.
pub(crate) async fn server_info(shared: &ClientState) -> Result<ServerInfo> {
    shared.link.refuse_closed()?;
    let live = shared.link.ready().await?;
    let [ensemble, chroot] = shared.paths.identities();
    let server = match identity(shared, &live, &ensemble).await.map_err(ServerError::into_error) {
        // Who may not look there, nor make it, sees the same wherever its locks are.
        Err(error) if error.kind() == ErrorKind::Rejected => identity(shared, &live, &chroot).await,
        other => other.map_err(ServerError::from),
    };
    Ok(ServerInfo {
        server: server.map_err(ServerError::into_error)?.into(),
        lineage: None,
        remembers_for: std::time::Duration::MAX,
        wall_us: shared.env.wall_us(),
    })
}

async fn identity(shared: &ClientState, live: &LiveSession, path: &str) -> Result<String, ServerError> {
    for _ in 0..3 {
        match shared.link.ask(Effect::Reads, live.client.get_data(path)).await {
            Ok((data, _)) => return Ok(String::from_utf8_lossy(&data).into_owned()),
            Err(ServerError::NoNode) => {}
            Err(other) => return Err(other),
        }
        // Others may not change it, but everybody may read it: who is asked about is the same for all.
        let acls = shared.link.acls_to_read();
        let stays = CreateMode::Persistent.with_acls(Acls::new(&acls));
        let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
        shared.link.ask(Effect::Writes, live.client.mkdir(above, &stays)).await?;
        let number = format!("zookeeper {:032x}", shared.env.random());
        match shared.link.ask(Effect::Writes, live.client.create(path, number.as_bytes(), &stays)).await {
            Ok(_) | Err(ServerError::NodeExists) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Error::new(ErrorKind::Corrupt, "the node that names this store comes and goes").into())
}
