//! A release, by its claim or by force.

use std::time::Duration;

use leasehold_core::{Claim, Contender, LockName, Release, Result};

use crate::{client::Client, keys::Keys};

/// Ends the hold of a claim, or its waiting.
pub(crate) async fn release(client: &Client, claim: &Claim) -> Result<Release> {
    let keys = client.dialect.keys(&claim.name);
    let (slot, refuse) = (keys.slot(), client.refuse_for(claim));
    if refuse.is_zero() && client.contention.is_quiet(slot, &client.env) {
        let mut is_asked = false;
        let request = |facts| {
            let request = client.dialect.release_quiet(claim, &keys, client.announcement(), &facts);
            is_asked = request.is_some();
            request
        };
        if let Some((released, _)) = client.send_quiet(slot, 0, request).await? {
            return Ok(released);
        }
        if is_asked {
            client.contention.note(slot, client.env.now());
        }
    }
    // Boxed: rarely needed, and large. The doubt stays: a second release would end the refusal.
    Box::pin(release_full(client, claim, &keys, refuse)).await
}

/// The same by the way for all cases.
async fn release_full(client: &Client, claim: &Claim, keys: &Keys, refuse: Duration) -> Result<Release> {
    let request = client.dialect.release(claim, keys, refuse, client.announcement());
    client.send(keys.slot(), request).await
}

/// Ends every hold of a lock, and answers the holders.
pub(crate) async fn force_release(client: &Client, name: &LockName) -> Result<Vec<Contender>> {
    let keys = client.dialect.keys(name);
    client.send(keys.slot(), client.dialect.force_release(&keys, client.announcement())).await
}
