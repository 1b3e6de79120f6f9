//! The operation `list`: reads the keys of the server, then the items that may be locks.

use std::collections::BTreeSet;

use leasehold_core::{LockName, Result, Snapshot};

use crate::{
    batch::CommandBatch,
    client::Client,
    format,
    keys::{LockKeys, Owner},
    lock_record::Stored,
    metadump,
    reply::Reply,
};

/// The number of items that are read with one batch.
const BATCH_MAX: usize = 64;

impl Client {
    /// Lists the documents of this library only: a plain key may be anything, such as a cached page.
    pub(crate) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let wanted = |key: &str| match LockKeys::owner(key) {
            Owner::Lock(name) => name.as_str().starts_with(prefix),
            Owner::Hashed => true,
            Owner::Other => false,
        };
        let keys = metadump::keys(self, wanted).await?;
        let mut names = BTreeSet::new();
        for chunk in keys.chunks(BATCH_MAX) {
            self.add_names(chunk, prefix, &mut names).await?;
        }
        let names: Vec<LockName> = names.into_iter().collect();
        let mut found = Vec::new();
        for chunk in names.chunks(BATCH_MAX) {
            if found.len() >= limit {
                break;
            }
            self.add_snapshots(chunk, &mut found).await?;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Adds the names of the keys' locks that have the prefix. The name behind a hashed key is in its document.
    async fn add_names(&self, keys: &[String], prefix: &str, names: &mut BTreeSet<LockName>) -> Result<()> {
        let mut batch = CommandBatch::new();
        for key in keys {
            match LockKeys::owner(key) {
                Owner::Lock(name) => drop(names.insert(name)),
                Owner::Hashed => batch = batch.get(key),
                Owner::Other => {}
            }
        }
        if batch.wants.is_empty() {
            return Ok(());
        }
        let (replies, _) = self.call(batch).await?;
        names.extend(replies.filter_map(|reply| {
            let Reply::Item(item) = reply else { return None };
            format::decode(&item.value)
                .map(|document| document.name)
                .filter(|it| it.as_str().starts_with(prefix))
        }));
        Ok(())
    }

    async fn add_snapshots(&self, names: &[LockName], found: &mut Vec<Snapshot>) -> Result<()> {
        let all: Vec<LockKeys> = names.iter().map(LockKeys::of).collect();
        let batch = all.iter().fold(CommandBatch::new(), |batch, keys| batch.then(Client::query(keys)));
        let (mut replies, received) = self.call(batch).await?;
        for keys in &all {
            let record = self.parse(keys, &mut replies, &received)?;
            let snapshot = record.snapshot(&keys.name);
            let in_use = !snapshot.holders.is_empty() || !snapshot.waiters.is_empty();
            if in_use && matches!(record.stored, Stored::Own(_)) {
                found.push(snapshot);
            }
        }
        Ok(())
    }
}
