//! A release, by its claim or by force.

use std::time::Duration;

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::{client::ClientState, keys::Keys};

/// Ends the hold of a claim, or its waiting.
pub(crate) async fn release(state: &ClientState, claim: &Claim) -> Result<Release> {
    let keys = state.dialect.keys(&claim.name);
    let (slot, refuse) = (keys.slot(), state.refuse_for(claim));
    if refuse.is_zero() && state.contention.is_quiet(slot, state.env.now()) {
        let request = |_| state.dialect.release_quiet(claim, &keys, state.announcement());
        if let Some((released, _)) = state.send_quiet(slot, 0, request).await? {
            return Ok(released);
        }
        state.contention.note(slot, state.env.now());
    }
    // Boxed: rarely needed, and large.
    let released = Box::pin(release_full(state, claim, &keys, refuse)).await?;
    // The server has answered: no request of the claim takes effect any more.
    state.in_doubt.remove(claim.id);
    Ok(released)
}

/// The same by the way for all cases.
async fn release_full(state: &ClientState, claim: &Claim, keys: &Keys, refuse: Duration) -> Result<Release> {
    let request = state.dialect.release(claim, keys, refuse, state.announcement());
    state.send(keys.slot(), request).await
}

/// Ends every hold of a lock, and answers the holders.
pub(crate) async fn force_release(state: &ClientState, name: &LockName) -> Result<Vec<Contender>> {
    let keys = state.dialect.keys(name);
    state.send(keys.slot(), state.dialect.force_release(&keys, state.announcement())).await
}
