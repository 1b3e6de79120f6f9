//! Renewal: all that is due on one server in one request, all servers at the same time.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, LostReason, Mode, Renewal, Result};

use crate::{
    client::ClientState,
    dialect::read_renewal,
    format::{first, list},
    keys::Keys,
    options::Servers,
};

/// The most locks in one script call; more would keep other clients waiting for the server.
const BATCH_MAX: usize = 128;

/// Renews claims, and answers one result for each. A silent server takes a fraction of the shortest ttl, so that the
/// replies of the others come in time.
pub(crate) async fn renew(state: &ClientState, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
    let limit = state.options.timeout.min(shortest / 8).max(Duration::from_millis(5));
    let mut results: Vec<Option<Result<Renewal>>> = claims.iter().map(|_| None).collect();
    let (mut groups, mut single) = (BTreeMap::<u16, Vec<usize>>::new(), Vec::new());
    for (at, claim) in claims.iter().enumerate() {
        match claim.mode == Mode::Exclusive && claim.lock_delay.is_zero() {
            true => groups.entry(group_of(state, claim)).or_default().push(at),
            false => single.push(at),
        }
    }
    let chunks: Vec<&[usize]> = groups.values().flat_map(|group| group.chunks(BATCH_MAX)).collect();
    let batches = chunks.iter().map(|chunk| {
        let chosen: Vec<&Claim> = chunk.iter().map(|at| &claims[*at]).collect();
        async move { batch(state, &chosen, limit).await }
    });
    for (chunk, renewals) in chunks.iter().zip(join_all(batches).await) {
        for (at, renewal) in chunk.iter().zip(renewals) {
            // A batch does not tell why a hold is gone, nor that it has become another kind of hold.
            match renewal {
                Ok(Renewal::Gone(_)) => single.push(*at),
                renewal => results[*at] = Some(renewal),
            }
        }
    }
    let entries = single.iter().map(|at| entry(state, &claims[*at], limit));
    for (at, renewal) in single.iter().zip(join_all(entries).await) {
        results[*at] = Some(renewal);
    }
    results.into_iter().map(|result| result.unwrap_or_else(|| Err(too_few_replies()))).collect()
}

pub(crate) fn too_few_replies() -> Error {
    Error::new(ErrorKind::Corrupt, "the server answered too little").unknown()
}

/// Claims of one group may share a request: all claims, or in a Cluster those of one slot.
fn group_of(state: &ClientState, claim: &Claim) -> u16 {
    match state.options.servers {
        Servers::Cluster(_) => state.dialect.keys(&claim.name).slot(),
        _ => 0,
    }
}

/// Renews exclusive holds of one group.
pub(crate) async fn batch(state: &ClientState, claims: &[&Claim], limit: Duration) -> Vec<Result<Renewal>> {
    let keys: Vec<Keys> = claims.iter().map(|claim| state.dialect.keys(&claim.name)).collect();
    let Some(slot) = keys.first().map(Keys::slot) else { return Vec::new() };
    let sent = state.send_confirmed(slot, state.dialect.renew(claims, &keys), limit).await;
    let read = sent.and_then(|(mut replies, confirmed)| {
        Ok((list(first(&mut replies)?, "replies to renewals")?, confirmed))
    });
    match read {
        Ok((values, confirmed)) => (0..claims.len())
            .map(|at| check_replicas(state, read_renewal(values.get(at)), confirmed))
            .collect(),
        Err(error) => claims.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn entry(state: &ClientState, claim: &Claim, limit: Duration) -> Result<Renewal> {
    let keys = state.dialect.keys(&claim.name);
    let Some(request) = state.dialect.renew_entry(claim, &keys, state.announcement()) else {
        return Ok(Renewal::Gone(LostReason::Gone));
    };
    let (replies, confirmed) = state.send_confirmed(keys.slot(), request, limit).await?;
    check_replicas(state, state.dialect.read_renew_entry(replies), confirmed)
}

/// A renewal that too few replicas have does not count: a failover may lose it.
fn check_replicas(state: &ClientState, result: Result<Renewal>, confirmed: u32) -> Result<Renewal> {
    match result {
        Ok(Renewal::Renewed { .. }) if confirmed < state.options.min_replicas => {
            Err(state.too_few_replicas(confirmed).unknown())
        }
        other => other,
    }
}
