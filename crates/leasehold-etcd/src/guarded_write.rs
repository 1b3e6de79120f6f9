//! Writes in the transaction that checks the hold (level T of SAFETY.md).

use leasehold_core::{Claim, Result};

use crate::{
    client::Client,
    format::{State, Value},
    keys::Keys,
    protocol::KeyValue,
    txn::{self, created, delete, get, put},
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
    let Some(create) = created_by(client, claim, &keys).await? else { return Ok(Committed::NotHeld) };
    let success = writes.into_iter().map(|write| match write {
        KeyWrite::Put { key, value } => put(key, value, 0),
        KeyWrite::Delete { key } => delete(key),
    });
    let holds = vec![created(keys.place(claim.id), create)];
    let answer = client.txn(txn::only_if(holds, success.collect())).await?;
    let revision = answer.header.revision;
    Ok(if answer.succeeded { Committed::Yes { revision } } else { Committed::NotHeld })
}

/// The revision that created the place of a claim that holds. A hold never becomes a wait again.
async fn created_by(client: &Client, claim: &Claim, keys: &Keys) -> Result<Option<i64>> {
    let known = client.own_claims.state(claim.id);
    if known.held && known.create > 0 {
        return Ok(Some(known.create));
    }
    let answer = client.txn(txn::read_only([get(keys.place(claim.id))])).await?;
    let holds = |kv: &KeyValue| Value::read(&kv.value).is_some_and(|value| value.state == State::Held);
    Ok(txn::reads(answer).into_iter().flatten().find(holds).map(|kv| kv.create_revision))
}
