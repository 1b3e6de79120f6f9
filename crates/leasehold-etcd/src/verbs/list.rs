//! The locks in use.

use std::collections::BTreeSet;

use leasehold_core::{LockName, Result, Snapshot};

use crate::{
    client::Client,
    format::{State, Value},
    keys::{self, Part},
    protocol::{KeyValue, RangeRequest, RangeResponse},
    queue::claim_of,
    transport::RANGE,
    verbs::inspect::snapshots,
};

/// Keys in one read.
const PAGE: i64 = 1000;

/// The locks in use whose names begin with `prefix`.
pub(crate) async fn list(client: &Client, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
    let names: Vec<LockName> = names(client, prefix, limit).await?.into_iter().collect();
    let mut listed = snapshots(client, &names).await?;
    // A lock that became free between the two reads is not in use.
    listed.retain(|snapshot| !(snapshot.holders.is_empty() && snapshot.waiters.is_empty()));
    Ok(listed)
}

/// The first names in their order, which is not that of the keys.
async fn names(client: &Client, prefix: &str, limit: usize) -> Result<BTreeSet<LockName>> {
    let (mut first, end) = keys::beginning_with(prefix);
    let mut names = BTreeSet::new();
    loop {
        let request = RangeRequest { key: first, range_end: end.clone(), limit: PAGE };
        let page: RangeResponse = client.cluster.call(RANGE, request).await?;
        for name in page.kvs.iter().filter_map(in_use).filter(|name| name.as_str().starts_with(prefix)) {
            names.insert(name);
            if names.len() > limit {
                names.pop_last();
            }
        }
        match page.kvs.last() {
            // The next possible key is the same with a zero byte.
            Some(last) if page.more => first = [&last.key[..], &[0]].concat(),
            _ => return Ok(names),
        }
    }
}

/// The lock that a key shows to be in use.
fn in_use(kv: &KeyValue) -> Option<LockName> {
    let (name, part) = keys::split(&kv.key)?;
    let is_in_use = match part {
        Part::Place(_) | Part::Client => claim_of(part, Value::read(&kv.value)).is_some(),
        Part::Delay(_) => Value::read(&kv.value).is_some_and(|value| value.state == State::Armed),
        // A key of Go's client ends in its lease; other keys are no locks.
        Part::Foreign => kv.lease != 0 && kv.key.ends_with(format!("/{:x}", kv.lease).as_bytes()),
    };
    is_in_use.then_some(name)
}
