//! Writes that only a holder can make: lock check and data in one transaction (level T of SAFETY.md).

use std::sync::Arc;

use leasehold_core::{Claim, Result};

use crate::{
    client::ClientState,
    format::{State, Value},
    keys::Keys,
    proto::{KeyValue, TxnRequest},
    transport::locked,
    txn::{self, created, delete, get, put},
};

/// A change of a key of the user's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Sets it.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Deletes it; deleting what is not there is no failure.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Committed {
    /// All of it was written, by this revision of the cluster.
    Yes {
        /// The revision.
        revision: i64,
    },
    /// The claim does not hold its lock: nothing was written.
    NotHeld,
}

/// Writes if the claim holds its lock at that very moment.
pub(crate) async fn commit(
    client: &Arc<ClientState>,
    claim: &Claim,
    writes: Vec<Write>,
) -> Result<Committed> {
    client.refuse_closed()?;
    let keys = Keys::of(&claim.name);
    let Some(create) = made_by(client, claim, &keys).await? else { return Ok(Committed::NotHeld) };
    let success = writes.into_iter().map(|write| match write {
        Write::Put { key, value } => put(key, value, 0),
        Write::Delete { key } => delete(key),
    });
    let request = TxnRequest {
        compare: vec![created(keys.place(claim.id), create)],
        success: success.collect(),
        failure: Vec::new(),
    };
    let answer = client.txn(request).await?;
    if !answer.succeeded {
        return Ok(Committed::NotHeld);
    }
    Ok(Committed::Yes { revision: answer.header.unwrap_or_default().revision })
}

/// The revision that made the place of a claim that holds. One that holds never waits again.
async fn made_by(client: &ClientState, claim: &Claim, keys: &Keys) -> Result<Option<i64>> {
    let known = client.known(claim.id).map(|slot| locked(&slot.known).clone()).unwrap_or_default();
    if known.held && known.create > 0 {
        return Ok(Some(known.create));
    }
    let read = TxnRequest { success: vec![get(keys.place(claim.id))], ..TxnRequest::default() };
    let answer = client.txn(read).await?;
    let holds = |kv: &KeyValue| Value::read(&kv.value).is_some_and(|value| value.state == State::Held);
    Ok(txn::reads(answer).into_iter().flatten().find(holds).map(|kv| kv.create_revision))
}
