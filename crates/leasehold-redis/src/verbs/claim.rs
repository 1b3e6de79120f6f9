//! A claim.

use leasehold_core::{Claim, Error, Grant, Renewal, Result, Standing};

use super::{release::release, renew};
use crate::{client::ClientState, dialect::ClaimReply, keys::Keys};

/// Claims a lock.
pub(crate) async fn claim(state: &ClientState, claim: &Claim) -> Result<Standing> {
    let keys = state.dialect.keys(&claim.name);
    let result = send(state, claim, &keys).await;
    state.mark_in_doubt(claim, &result);
    let (standing, is_unannounced) = result?;
    let is_busy = matches!(standing, Standing::Held(_) | Standing::Waiting(_));
    if is_busy {
        state.contention.note(keys.slot(), state.env.now());
    }
    if let Some(known) = state.unannounced.lock().get_mut(&claim.id) {
        *known = is_busy && is_unannounced;
    }
    Ok(standing)
}

async fn send(state: &ClientState, claim: &Claim, keys: &Keys) -> Result<(Standing, bool)> {
    let slot = keys.slot();
    let quiet = match state.contention.is_quiet(slot, state.env.now()) {
        true => {
            let request = |time| state.dialect.claim_quiet(claim, keys, time);
            state.send_quiet(slot, state.options.min_replicas, request).await?
        }
        false => None,
    };
    match quiet {
        Some((ClaimReply::Outcome { standing, is_unannounced }, confirmed))
            if confirmed >= state.options.min_replicas =>
        {
            Ok((standing, is_unannounced))
        }
        // Boxed: rarely needed, and large.
        quiet => Box::pin(complete(state, claim, keys, quiet)).await,
    }
}

/// Asks by the way for all cases, if need be, and judges the answer.
async fn complete(
    state: &ClientState,
    claim: &Claim,
    keys: &Keys,
    answered: Option<(ClaimReply, u32)>,
) -> Result<(Standing, bool)> {
    let (reply, confirmed) = match answered {
        Some(answered) => answered,
        None => send_full(state, claim, keys).await?,
    };
    match reply {
        ClaimReply::Outcome { standing: Standing::Granted(_), .. }
            if confirmed < state.options.min_replicas =>
        {
            Err(undo(state, claim, confirmed).await)
        }
        // What keeps this claim out may be a grant that is about to be given back for lack of replicas.
        ClaimReply::Outcome { standing: standing @ (Standing::Held(_) | Standing::Waiting(_)), .. }
            if confirmed < state.options.min_replicas =>
        {
            let error = state.too_few_replicas(confirmed);
            Err(if matches!(standing, Standing::Waiting(_)) { error.unknown() } else { error })
        }
        ClaimReply::Outcome { standing, is_unannounced } => Ok((standing, is_unannounced)),
        ClaimReply::OwnHold => Ok((prolong(state, claim).await?, false)),
    }
}

/// Sends a claim by the way for all cases.
async fn send_full(state: &ClientState, claim: &Claim, keys: &Keys) -> Result<(ClaimReply, u32)> {
    let inbox = state.inbox(keys.slot());
    let request = state.dialect.claim(claim, keys, &inbox, state.tracks(), state.announcement());
    state.send_confirmed(keys.slot(), request, state.options.timeout).await
}

/// Releases a hold that too few replicas have. If that fails, the hold may still be there.
async fn undo(state: &ClientState, claim: &Claim, confirmed: u32) -> Error {
    let error = state.too_few_replicas(confirmed);
    match release(state, claim).await {
        Ok(_) => error,
        Err(_) => error.unknown(),
    }
}

/// Completes a repeated claim, or an amendment, whose hold is there.
async fn prolong(state: &ClientState, claim: &Claim) -> Result<Standing> {
    match renew::batch(state, &[claim], state.options.timeout).await?.remove(0)? {
        Renewal::Renewed { valid_for } => Ok(Standing::Granted(Grant::lasting(None, valid_for))),
        Renewal::Gone(reason) => Ok(Standing::Gone(reason)),
    }
}
