//! Listing: which locks are in use, ours and, where they look like locks, those of strangers.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, LockName, Result, Snapshot, Store};
use redis::{Value, cmd};

use crate::{
    connection::Node,
    keys::{Keys, OURS, SIDES, escape},
    options::Dialect,
    reply::{list as read_list, text},
    store::RedisStore,
};

/// How many keys one step of SCAN looks at.
const STEP: u32 = 1000;
/// How many locks are looked at side by side.
const SIDE_BY_SIDE: usize = 64;

/// The locks in use whose names begin with `prefix`.
pub(crate) async fn list(store: &RedisStore, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    store.session().refuse_closed()?;
    let mut names = BTreeSet::new();
    let masters = store.session().router.topology.masters().await?;
    for node in &masters {
        for pattern in patterns(store, prefix) {
            scan(store, node, &pattern, |key| {
                let found = name_of(store, key).filter(|name| name.as_str().starts_with(prefix));
                names.extend(found);
            })
            .await?;
        }
    }
    let (mut snapshots, names) = (Vec::new(), names.into_iter().collect::<Vec<_>>());
    for chunk in names.chunks(SIDE_BY_SIDE) {
        for snapshot in join_all(chunk.iter().map(|name| store.inspect(name))).await {
            match snapshot {
                Ok(it) if it.holders.is_empty() && it.waiters.is_empty() => {}
                Ok(it) => snapshots.push(it),
                // A stranger's key that is no lock at all.
                Err(error) if error.kind() == ErrorKind::Mismatch => {}
                Err(error) => return Err(error),
            }
        }
        if snapshots.len() >= limit {
            snapshots.truncate(limit);
            break;
        }
    }
    Ok(snapshots)
}

fn patterns(store: &RedisStore, prefix: &str) -> Vec<String> {
    match &store.session().options.dialect {
        Dialect::Plain { template } => {
            let (before, after) = template.split_once('*').unwrap_or((template, ""));
            vec![format!("{}*{}", escape(&format!("{before}{prefix}")), escape(after))]
        }
        // Without a prefix the keys of strangers would be everything there is.
        Dialect::Native if prefix.is_empty() => Keys::meta_patterns(prefix).to_vec(),
        Dialect::Native => {
            let strangers = format!("{}*", escape(prefix));
            Keys::meta_patterns(prefix).into_iter().chain([strangers]).collect()
        }
    }
}

/// The lock that a key belongs to.
fn name_of(store: &RedisStore, key: &str) -> Option<LockName> {
    match &store.session().options.dialect {
        Dialect::Plain { template } => {
            let (before, after) = template.split_once('*')?;
            LockName::new(key.strip_prefix(before)?.strip_suffix(after)?).ok()
        }
        Dialect::Native if key.starts_with(OURS) => {
            if key.ends_with(SIDES[0]) {
                Keys::name_of_meta(key)
            } else {
                None
            }
        }
        Dialect::Native => LockName::new(key).ok(),
    }
}

async fn scan(
    store: &RedisStore,
    node: &Arc<Node>,
    pattern: &str,
    mut found: impl FnMut(&str),
) -> Result<()> {
    let mut cursor = "0".to_string();
    loop {
        let mut step = cmd("SCAN");
        step.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        let mut replies = node.call(&[step], store.session().options.timeout).await?;
        let value = crate::session::first(&mut replies)?;
        let mut parts = read_list(value, "a step of SCAN")?.into_iter();
        cursor = text(parts.next().as_ref())?.unwrap_or_default();
        for key in read_list(parts.next().unwrap_or(Value::Nil), "keys")? {
            if let Some(key) = text(Some(&key))? {
                found(&key);
            }
        }
        if cursor == "0" || cursor.is_empty() {
            return Ok(());
        }
        store
            .session()
            .refuse_closed()
            .map_err(|_| Error::new(ErrorKind::Closed, "this client is closed"))?;
    }
}
