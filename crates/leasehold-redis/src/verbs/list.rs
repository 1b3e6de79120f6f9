//! The locks in use, also of other libraries where their keys look like locks.

use std::{collections::BTreeSet, pin::pin};

use futures_util::{StreamExt, stream};
use leasehold_core::{ErrorKind, Result, Snapshot, store_kit::Explain};
use redis::{Value, cmd};

use super::inspect::inspect;
use crate::{
    client::Client,
    format::{read, text},
    transport::Node,
};

/// The number of keys that one step of SCAN visits.
const STEP: u32 = 1000;
/// The number of locks that are inspected at the same time.
const CONCURRENT: usize = 64;

/// The locks in use whose names begin with `prefix`, at most `limit`.
pub(crate) async fn list(client: &Client, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    let mut names = BTreeSet::new();
    for node in &client.router.masters(client.options.timeout).await? {
        for pattern in client.dialect.patterns(prefix) {
            scan(client, node, &pattern, |key| {
                names.extend(client.dialect.name_of(key).filter(|name| name.as_str().starts_with(prefix)));
            })
            .await?;
        }
    }
    let inspected = stream::iter(names).map(|name| async move {
        inspect(client, &name).await.explain("inspect", &name, &client.options.url)
    });
    let (mut inspected, mut snapshots) = (pin!(inspected.buffered(CONCURRENT)), Vec::new());
    while snapshots.len() < limit
        && let Some(snapshot) = inspected.next().await
    {
        match snapshot {
            Ok(it) if it.holders.is_empty() && it.waiters.is_empty() => {}
            Ok(it) => snapshots.push(it),
            // A key of another program that is no lock.
            Err(error) if error.kind() == ErrorKind::Mismatch => {}
            Err(error) => return Err(error),
        }
    }
    Ok(snapshots)
}

async fn scan(client: &Client, node: &Node, pattern: &str, mut found: impl FnMut(&str)) -> Result<()> {
    let mut cursor = "0".to_string();
    loop {
        let mut step = cmd("SCAN");
        step.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        let keys: Vec<Value>;
        (cursor, keys) = read(&node.ask(step, client.options.timeout).await?, "a step of SCAN")?;
        for key in keys {
            found(&text(&key)?);
        }
        if cursor == "0" {
            return Ok(());
        }
        client.state.check_open()?;
    }
}
