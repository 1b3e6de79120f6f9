//! Writes in the transaction that checks the hold (level T of SAFETY.md).

use leasehold_core::{Claim, Result};

use crate::{
    client::Client,
    format::{State, Value},
    keys::Keys,
    protocol::KeyValue,
    queue::find,
    txn::{self, created, delete, put, range},
};

/// A change of a key of the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyWrite {
    /// Sets the key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Deletes the key; a missing key is no failure.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// The outcome of [`EtcdStore::commit`](crate::EtcdStore::commit).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Committed {
    /// Everything was written, by this revision of the cluster.
    Yes {
        /// The revision.
        revision: i64,
    },
    /// The claim does not hold its lock: nothing was written.
    NotHeld,
}

/// Writes if the claim holds its lock in the same transaction.
pub(crate) async fn commit(client: &Client, claim: &Claim, writes: Vec<KeyWrite>) -> Result<Committed> {
    let keys = Keys::of(&claim.name);
    let Some((place, create)) = place_of(client, claim, &keys).await? else { return Ok(Committed::NotHeld) };
    let success = writes.into_iter().map(|write| match write {
        KeyWrite::Put { key, value } => put(key, value, 0),
        KeyWrite::Delete { key } => delete(key),
    });
    let holds = vec![created(place, create)];
    let answer = client.txn(txn::only_if(holds, success.collect())).await?;
    let revision = answer.header.revision;
    Ok(if answer.succeeded { Committed::Yes { revision } } else { Committed::NotHeld })
}

/// The place of a claim that holds, and the revision that created it. A hold never becomes a wait again.
async fn place_of(client: &Client, claim: &Claim, keys: &Keys) -> Result<Option<(Vec<u8>, i64)>> {
    let known = client.own_claims.state(claim.id);
    if let Some(place) = known.place.filter(|_| known.held) {
        return Ok(Some((place, known.create)));
    }
    let answer = client.txn(txn::read_only([range(keys.range())])).await?;
    let found = find(keys, claim.id, txn::reads(answer).into_iter().flatten());
    let holds = |kv: &KeyValue| Value::read(&kv.value).is_some_and(|value| value.state == State::Held);
    Ok(found.filter(holds).map(|kv| (kv.key, kv.create_revision)))
}
