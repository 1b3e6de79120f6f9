//! The holders and waiters of one lock.

use leasehold_core::{LockName, Result, Snapshot};

use crate::client::Client;

/// Reads a lock.
pub(crate) async fn inspect(client: &Client, name: &LockName) -> Result<Snapshot> {
    let keys = client.dialect.keys(name);
    client.send(keys.slot(), client.dialect.inspect(name, &keys)).await
}
