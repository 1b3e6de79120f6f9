//! Renewal: all that is due on one server in one request, all servers at the same time.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, LostReason, Mode, Renewal, Result};

use crate::{client::Client, keys::Keys, options::Servers};

/// The most locks in one script call; more would keep other clients waiting for the server.
const BATCH_MAX: usize = 128;

/// Renews claims, and answers one result for each. A silent server takes a fraction of the shortest ttl, so that the
/// replies of the others come in time.
pub(crate) async fn renew(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
    let limit = client.options.timeout.min(shortest / 8).max(Duration::from_millis(5));
    // A claim that no batch renews is renewed alone. A batch does not tell why a hold is gone, nor that it has become
    // another kind of hold.
    let mut results: Vec<Result<Renewal>> =
        claims.iter().map(|_| Ok(Renewal::Gone(LostReason::Gone))).collect();
    let mut groups = BTreeMap::<u16, Vec<usize>>::new();
    for (at, claim) in claims.iter().enumerate() {
        if claim.mode == Mode::Exclusive && claim.lock_delay.is_zero() {
            groups.entry(group_of(client, claim)).or_default().push(at);
        }
    }
    let chunks: Vec<&[usize]> = groups.values().flat_map(|group| group.chunks(BATCH_MAX)).collect();
    let batches = chunks.iter().map(|chunk| {
        let chosen: Vec<&Claim> = chunk.iter().map(|at| &claims[*at]).collect();
        async move { batch(client, &chosen, limit).await }
    });
    let mut refused: Vec<usize> = Vec::new();
    for (chunk, renewals) in chunks.iter().zip(join_all(batches).await) {
        match renewals {
            Ok(renewals) => chunk.iter().zip(renewals).for_each(|(at, renewal)| results[*at] = renewal),
            Err(error) if error.kind() == ErrorKind::Rejected && chunk.len() > 1 => refused.extend(*chunk),
            Err(error) => chunk.iter().for_each(|at| results[*at] = Err(error.clone())),
        }
    }
    // One key that this user may not write is no reason to lose the others.
    let singles =
        refused.iter().map(|at| async move { batch(client, &[&claims[*at]], limit).await?.remove(0) });
    for (at, renewal) in refused.iter().zip(join_all(singles).await) {
        results[*at] = renewal;
    }
    let is_gone = |at: &usize| matches!(results[*at], Ok(Renewal::Gone(_)));
    let alone: Vec<usize> = (0..claims.len()).filter(is_gone).collect();
    let entries = alone.iter().map(|at| entry(client, &claims[*at], limit));
    for (at, renewal) in alone.iter().zip(join_all(entries).await) {
        results[*at] = renewal;
    }
    results
}

/// Claims of one group may share a request: all claims, or in a Cluster those of one slot.
fn group_of(client: &Client, claim: &Claim) -> u16 {
    match client.options.servers {
        Servers::Cluster(_) => client.dialect.keys(&claim.name).slot(),
        _ => 0,
    }
}

/// Renews exclusive holds of one group, and answers one result for each.
pub(crate) async fn batch(
    client: &Client,
    claims: &[&Claim],
    limit: Duration,
) -> Result<Vec<Result<Renewal>>> {
    let keys: Vec<Keys> = claims.iter().map(|claim| client.dialect.keys(&claim.name)).collect();
    let slot = keys.first().map_or(0, Keys::slot);
    let (renewals, confirmed) =
        client.send_confirmed(slot, client.dialect.renew(claims, &keys), limit).await?;
    if renewals.len() != claims.len() {
        return Err(Error::new(ErrorKind::Corrupt, "the server answered too little").unknown());
    }
    Ok(renewals.into_iter().map(|renewal| check_replicas(client, renewal, confirmed)).collect())
}

async fn entry(client: &Client, claim: &Claim, limit: Duration) -> Result<Renewal> {
    let keys = client.dialect.keys(&claim.name);
    let Some(request) = client.dialect.renew_entry(claim, &keys, client.announcement()) else {
        return Ok(Renewal::Gone(LostReason::Gone));
    };
    let (renewal, confirmed) = client.send_confirmed(keys.slot(), request, limit).await?;
    check_replicas(client, renewal, confirmed)
}

/// A renewal that too few replicas have does not count: a failover may lose it.
fn check_replicas(client: &Client, renewal: Renewal, confirmed: u32) -> Result<Renewal> {
    match renewal {
        Renewal::Renewed { .. } if confirmed < client.options.min_replicas => {
            Err(client.too_few_replicas(confirmed).unknown())
        }
        other => Ok(other),
    }
}
