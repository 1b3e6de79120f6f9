//! The operation `list`.

use leasehold_core::{LockName, Result, Snapshot};
use zookeeper_client::{MultiReadResult, MultiReader};

use crate::{client::Client, keys, lock_record::LockRecord, verbs::inspect::snapshot};

/// The number of locks that are read with one request.
const LOCKS_MAX: usize = 64;

pub(crate) async fn list(client: &Client, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    let live = client.session.ready().await?;
    let root = client.paths.root();
    let nodes = live.children(root, root).await?;
    let mut names: Vec<LockName> = nodes.iter().filter_map(|node| keys::decode(node)).collect();
    names.retain(|name| name.as_str().starts_with(prefix));
    names.sort_unstable();
    let mut found = Vec::new();
    for names in names.chunks(LOCKS_MAX) {
        let paths: Vec<String> = names.iter().map(|name| client.paths.lock(name)).collect();
        let results = live.read_all(&paths, MultiReader::add_get_children).await?;
        for ((name, path), result) in names.iter().zip(paths).zip(results) {
            if found.len() >= limit {
                return Ok(found);
            }
            // Otherwise it went meanwhile, or may not be read.
            let MultiReadResult::Children { children } = result else { continue };
            let lock = LockRecord { client, live: live.clone(), path };
            let snapshot = snapshot(&lock, name, &children).await?;
            if !snapshot.holders.is_empty() || !snapshot.waiters.is_empty() {
                found.push(snapshot);
            }
        }
    }
    Ok(found)
}
