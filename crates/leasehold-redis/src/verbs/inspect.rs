//! The holders and waiters of one lock.

use leasehold_core::{LockName, Result, Snapshot};

use crate::client::ClientState;

/// Reads a lock.
pub(crate) async fn inspect(state: &ClientState, name: &LockName) -> Result<Snapshot> {
    let keys = state.dialect.keys(name);
    state.send(keys.slot(), state.dialect.inspect(name, &keys)).await
}
