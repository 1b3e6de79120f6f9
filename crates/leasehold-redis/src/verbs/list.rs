//! The locks in use, also of other libraries where their keys look like locks.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use leasehold_core::{ErrorKind, LockName, Result, Snapshot, store_kit::Explain};
use redis::{Value, cmd};

use super::inspect::inspect;
use crate::{
    client::ClientState,
    format::{read, text},
    transport::Node,
};

/// The number of keys that one step of SCAN visits.
const STEP: u32 = 1000;
/// The number of locks that are inspected at the same time.
const CONCURRENT: usize = 64;

/// The locks in use whose names begin with `prefix`, at most `limit`.
pub(crate) async fn list(state: &ClientState, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    state.check_open()?;
    let mut names = BTreeSet::new();
    for node in &state.router.topology.masters().await? {
        for pattern in state.dialect.patterns(prefix) {
            scan(state, node, &pattern, |key| {
                names.extend(state.dialect.name_of(key).filter(|name| name.as_str().starts_with(prefix)));
            })
            .await?;
        }
    }
    let (mut snapshots, names) = (Vec::new(), names.into_iter().collect::<Vec<LockName>>());
    for chunk in names.chunks(CONCURRENT) {
        let inspected = chunk.iter().map(|name| async move {
            inspect(state, name).await.explain("inspect", name, &state.options.url)
        });
        for snapshot in join_all(inspected).await {
            match snapshot {
                Ok(it) if it.holders.is_empty() && it.waiters.is_empty() => {}
                Ok(it) => snapshots.push(it),
                // A key of another program that is no lock.
                Err(error) if error.kind() == ErrorKind::Mismatch => {}
                Err(error) => return Err(error),
            }
        }
        if snapshots.len() >= limit {
            break;
        }
    }
    snapshots.truncate(limit);
    Ok(snapshots)
}

async fn scan(state: &ClientState, node: &Node, pattern: &str, mut found: impl FnMut(&str)) -> Result<()> {
    let mut cursor = "0".to_string();
    loop {
        let mut step = cmd("SCAN");
        step.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        let keys: Vec<Value>;
        (cursor, keys) = read(&node.ask(step, state.options.timeout).await?, "a step of SCAN")?;
        for key in keys {
            found(&text(&key)?);
        }
        if cursor == "0" {
            return Ok(());
        }
        state.check_open()?;
    }
}
