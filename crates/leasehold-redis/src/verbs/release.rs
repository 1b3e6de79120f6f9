//! A release, by its claim or by force.

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::client::ClientState;

/// Ends the hold of a claim, or its waiting.
pub(crate) async fn release(state: &ClientState, claim: &Claim) -> Result<Release> {
    let keys = state.dialect.keys(&claim.name);
    let request = state.dialect.release(claim, &keys, state.refuse_for(claim), state.announcement());
    let released = state.send(keys.slot(), request).await?;
    // The server has answered: no request of the claim takes effect any more.
    state.in_doubt.remove(claim.id);
    Ok(released)
}

/// Ends every hold of a lock, and answers the holders.
pub(crate) async fn force_release(state: &ClientState, name: &LockName) -> Result<Vec<Contender>> {
    let keys = state.dialect.keys(name);
    state.send(keys.slot(), state.dialect.force_release(&keys, state.announcement())).await
}
