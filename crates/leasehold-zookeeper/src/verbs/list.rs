//! The operation `list`.

use futures_util::future::join;
use leasehold_core::{LockName, Result, Snapshot};
use zookeeper_client::MultiReadResult;

use crate::{
    client::Client,
    error::{Effect, ServerError},
    keys,
    session::LiveSession,
    verbs::inspect::snapshot,
};

/// The number of locks that are read with one request.
const LOCKS_MAX: usize = 64;

pub(crate) async fn list(client: &Client, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    let live = client.session.ready().await?;
    list_now(client, &live, prefix, limit).await.map_err(ServerError::into_error)
}

async fn list_now(
    client: &Client,
    live: &LiveSession,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Snapshot>, ServerError> {
    let root = client.paths.root();
    let all = join(live.zk.sync(root), live.zk.list_children(root));
    let (_, nodes) = client.session.in_time(Effect::Reads, all).await?;
    let nodes = match nodes.map_err(|error| ServerError::of(error, Effect::Reads)) {
        Err(ServerError::NoNode) => Vec::new(),
        other => other?,
    };
    let mut names: Vec<LockName> = nodes.iter().filter_map(|node| keys::decode(node)).collect();
    names.retain(|name| name.as_str().starts_with(prefix));
    names.sort_unstable();
    let mut found = Vec::new();
    for chunk in names.chunks(LOCKS_MAX) {
        for (name, children) in chunk.iter().zip(children_of(client, live, chunk).await?) {
            if found.len() >= limit {
                return Ok(found);
            }
            if children.is_empty() {
                continue;
            }
            let snapshot = snapshot(client, live, name, &children).await?;
            if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                found.push(snapshot);
            }
        }
    }
    Ok(found)
}

async fn children_of(
    client: &Client,
    live: &LiveSession,
    names: &[LockName],
) -> Result<Vec<Vec<String>>, ServerError> {
    let mut reader = live.zk.new_multi_reader();
    for name in names {
        let path = client.paths.lock(name);
        reader.add_get_children(&path).map_err(|error| ServerError::of(error, Effect::Reads))?;
    }
    let results = client.session.ask(Effect::Reads, reader.commit()).await?;
    let children = |result| match result {
        MultiReadResult::Children { children } => children,
        // It went meanwhile, or may not be read.
        _ => Vec::new(),
    };
    Ok(results.into_iter().map(children).collect())
}
