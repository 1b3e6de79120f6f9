//! The locks in use: the server's keys are asked for, and those looked at that may be locks.

use std::collections::BTreeMap;

use leasehold_core::{LockName, Result, Snapshot};

use crate::{
    batch::CommandBatch,
    client::ClientState,
    format,
    keys::{Keys, Owner},
    lock_record::{LockKeys, Stored},
    metadump,
    reply::Reply,
};

/// So many are looked at in one packet.
const BATCH_MAX: usize = 64;

impl ClientState {
    /// Only documents of ours are locks here: a plain key may be anything, such as a cached page.
    pub(crate) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let wanted = |key: &str| match Keys::owner(key) {
            Owner::Lock(name) => name.as_str().starts_with(prefix),
            Owner::Hashed => true,
            Owner::Other => false,
        };
        let keys = metadump::keys(self, wanted).await?;
        let mut found = BTreeMap::new();
        let mut names: Vec<LockName> = Vec::new();
        for chunk in keys.chunks(BATCH_MAX) {
            names.extend(self.names(chunk, prefix).await?);
        }
        names.sort();
        names.dedup();
        for chunk in names.chunks(BATCH_MAX) {
            if found.len() >= limit {
                break;
            }
            self.snapshots(chunk, &mut found).await?;
        }
        Ok(found.into_values().take(limit).collect())
    }

    /// The names that begin so of the keys' documents.
    async fn names(&self, keys: &[String], prefix: &str) -> Result<Vec<LockName>> {
        let mut names = Vec::new();
        let hashed = keys.iter().filter(|key| match Keys::owner(key) {
            Owner::Lock(name) => {
                names.push(name);
                false
            }
            owner => owner == Owner::Hashed,
        });
        let packet = hashed.fold(CommandBatch::new(), |packet, key| packet.look(key));
        if packet.wants.is_empty() {
            return Ok(names);
        }
        let (replies, _) = self.call(packet).await?;
        for reply in replies {
            if let Reply::Item(item) = reply
                && let Some(document) = format::decode(&item.value)
                && document.name.as_str().starts_with(prefix)
            {
                names.push(document.name);
            }
        }
        Ok(names)
    }

    async fn snapshots(&self, names: &[LockName], found: &mut BTreeMap<LockName, Snapshot>) -> Result<()> {
        let places: Vec<LockKeys> = names.iter().map(LockKeys::of).collect();
        let packet =
            places.iter().fold(CommandBatch::new(), |packet, place| packet.then(ClientState::look_at(place)));
        let (mut replies, heard) = self.call(packet).await?;
        for place in &places {
            let look = self.read(place, &mut replies, &heard)?;
            let snapshot = look.snapshot(&place.name);
            let in_use = !snapshot.holders.is_empty() || !snapshot.waiters.is_empty();
            if in_use && matches!(look.found, Stored::Own(_)) {
                found.insert(place.name.clone(), snapshot);
            }
        }
        Ok(())
    }
}
