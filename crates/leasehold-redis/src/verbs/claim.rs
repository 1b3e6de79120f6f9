//! A claim.

use std::time::Duration;

use leasehold_core::{Claim, Error, Grant, Renewal, Result, Standing};

use super::{release::release, renew};
use crate::{client::Client, dialect::ClaimReply, keys::Keys};

/// The longest sleep of a waiter on a connection of the program's, on which nothing wakes it.
const RECHECK_SHARED: Duration = Duration::from_millis(100);

/// Claims a lock.
pub(crate) async fn claim(client: &Client, claim: &Claim) -> Result<Standing> {
    let keys = client.dialect.keys(&claim.name);
    let result = send(client, claim, &keys).await;
    client.mark_in_doubt(claim, &result);
    let (mut standing, is_unannounced) = result?;
    let mut is_busy = false;
    if let Standing::Held(busy) | Standing::Waiting(busy) = &mut standing {
        is_busy = true;
        client.contention.note(keys.slot(), client.env.now());
        if client.options.is_shared {
            busy.recheck_in = busy.recheck_in.min(RECHECK_SHARED);
        }
    }
    if let Some(known) = client.unannounced.lock().get_mut(&claim.id) {
        *known = is_busy && is_unannounced;
    }
    Ok(standing)
}

async fn send(client: &Client, claim: &Claim, keys: &Keys) -> Result<(Standing, bool)> {
    let slot = keys.slot();
    let quiet = match client.contention.is_quiet(slot, &client.env) {
        true => {
            let request = |facts| client.dialect.claim_quiet(claim, keys, &facts);
            client.send_quiet(slot, client.options.min_replicas, request).await?
        }
        false => None,
    };
    match quiet {
        Some((ClaimReply::Outcome { standing, is_unannounced }, confirmed))
            if confirmed >= client.options.min_replicas =>
        {
            Ok((standing, is_unannounced))
        }
        // Boxed: rarely needed, and large.
        quiet => Box::pin(complete(client, claim, keys, quiet)).await,
    }
}

/// Asks by the way for all cases, if need be, and judges the answer.
async fn complete(
    client: &Client,
    claim: &Claim,
    keys: &Keys,
    answered: Option<(ClaimReply, u32)>,
) -> Result<(Standing, bool)> {
    let (reply, confirmed) = match answered {
        // If this fails, the hold key may still be set.
        Some((ClaimReply::Undecided, _)) => send_full(client, claim, keys).await.map_err(Error::unknown)?,
        Some(answered) => answered,
        None => send_full(client, claim, keys).await?,
    };
    match reply {
        ClaimReply::Outcome { standing: Standing::Granted(_), .. }
            if confirmed < client.options.min_replicas =>
        {
            Err(undo(client, claim, confirmed).await)
        }
        // What keeps this claim out may be a grant that is about to be given back for lack of replicas.
        ClaimReply::Outcome { standing: standing @ (Standing::Held(_) | Standing::Waiting(_)), .. }
            if confirmed < client.options.min_replicas =>
        {
            let error = client.too_few_replicas(confirmed);
            Err(if matches!(standing, Standing::Waiting(_)) { error.unknown() } else { error })
        }
        ClaimReply::Outcome { standing, is_unannounced } => Ok((standing, is_unannounced)),
        ClaimReply::OwnHold | ClaimReply::Undecided => Ok((prolong(client, claim).await?, false)),
    }
}

/// Sends a claim by the way for all cases.
async fn send_full(client: &Client, claim: &Claim, keys: &Keys) -> Result<(ClaimReply, u32)> {
    let inbox = client.inbox(keys.slot());
    let request = client.dialect.claim(claim, keys, &inbox, client.tracks(), client.announcement());
    client.send_confirmed(keys.slot(), request, client.options.timeout).await
}

/// Releases a hold that too few replicas have. If that fails, the hold may still be there.
async fn undo(client: &Client, claim: &Claim, confirmed: u32) -> Error {
    let error = client.too_few_replicas(confirmed);
    match release(client, claim).await {
        Ok(_) => error,
        Err(_) => error.unknown(),
    }
}

/// Completes a repeated claim, or an amendment, whose hold is there.
async fn prolong(client: &Client, claim: &Claim) -> Result<Standing> {
    match renew::batch(client, &[claim], client.options.timeout).await?.remove(0)? {
        Renewal::Renewed { valid_for } => Ok(Standing::Granted(Grant::lasting(None, valid_for))),
        Renewal::Gone(reason) => Ok(Standing::Gone(reason)),
    }
}
