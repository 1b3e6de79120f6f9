//! Renewal: all that is due on one server in one script call, all servers side by side.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, LostReason, Mode, Renewal, Result};
use redis::Value;

use crate::{
    dialect::{native, plain},
    keys::Keys,
    options::{Dialect, Servers},
    reply::list,
    session::Session,
};

/// As many locks go into one script call; more would keep others waiting for the server.
const BATCH_MAX: usize = 128;

/// Renews claims, and answers one result for each. A server that is silent takes a fraction of the shortest ttl, so
/// that the answers of the others come in time.
pub(crate) async fn all(session: &Arc<Session>, claims: &[Claim]) -> Vec<Result<Renewal>> {
    if let Err(error) = session.refuse_closed() {
        let closed = |_| Err(Error::new(error.kind(), "this client is closed"));
        return claims.iter().map(closed).collect();
    }
    let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
    let limit = session.options.timeout.min(shortest / 8).max(Duration::from_millis(5));
    let mut answers: Vec<Option<Result<Renewal>>> = claims.iter().map(|_| None).collect();
    // Exclusive holds go together, the others are looked at one by one.
    let together = |claim: &Claim| claim.mode == Mode::Exclusive && claim.lock_delay.is_zero();
    let (mut groups, mut single) = (BTreeMap::<u16, Vec<usize>>::new(), Vec::new());
    for (at, claim) in claims.iter().enumerate() {
        match together(claim) {
            true => groups.entry(group_of(session, claim)).or_default().push(at),
            false => single.push(at),
        }
    }
    let chunks: Vec<&[usize]> = groups.values().flat_map(|group| group.chunks(BATCH_MAX)).collect();
    let batches = chunks.iter().map(|chunk| {
        let chosen: Vec<&Claim> = chunk.iter().map(|at| &claims[*at]).collect();
        async move { batch(session, &chosen, limit).await }
    });
    for (chunk, results) in chunks.iter().zip(join_all(batches).await) {
        for (at, result) in chunk.iter().zip(results) {
            // The batch cannot say why a hold is gone, nor that it has become another kind of hold.
            let is_gone = matches!(result, Ok(Renewal::Gone(_)));
            if is_gone && session.options.dialect == Dialect::Native {
                single.push(*at);
            } else {
                answers[*at] = Some(result);
            }
        }
    }
    let entries = single.iter().map(|at| entry(session, &claims[*at], limit));
    for (at, result) in single.iter().zip(join_all(entries).await) {
        answers[*at] = Some(result);
    }
    let missing = || Err(Error::new(ErrorKind::Corrupt, "the server answered too little").unknown());
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

/// What may go into one call: everything, or in a Cluster what is in one slot.
fn group_of(session: &Session, claim: &Claim) -> u16 {
    match session.options.servers {
        Servers::Cluster(_) => keys(session, claim).slot(),
        _ => 0,
    }
}

fn keys(session: &Session, claim: &Claim) -> Keys {
    match &session.options.dialect {
        Dialect::Native => Keys::of(&claim.name),
        Dialect::Plain { template } => Keys::templated(template, &claim.name),
    }
}

/// Renews holds that are a string, all of one slot or all of one server.
pub(crate) async fn batch(
    session: &Arc<Session>,
    claims: &[&Claim],
    limit: Duration,
) -> Vec<Result<Renewal>> {
    let all: Vec<Keys> = claims.iter().map(|claim| keys(session, claim)).collect();
    let script = &session.scripts.renew;
    let mut call = script.call(all.iter().map(|keys| keys.hold.as_str()));
    for claim in claims {
        call.arg(claim.id.to_string()).arg(native::millis(claim.ttl));
    }
    let Some(first) = all.first() else { return Vec::new() };
    let answer = session.run_confirmed(first, script, call, limit).await;
    let read = answer.and_then(|(value, have)| Ok((list(value, "answers to renewals")?, have)));
    match read {
        Ok((values, have)) => (0..claims.len())
            .map(|at| confirmed(session, plain::read_renewal(values.get(at)), have))
            .collect(),
        Err(error) => claims.iter().map(|_| Err(copy(&error))).collect(),
    }
}

async fn entry(session: &Arc<Session>, claim: &Claim, limit: Duration) -> Result<Renewal> {
    if session.options.dialect != Dialect::Native {
        return Ok(Renewal::Gone(LostReason::Gone));
    }
    let keys = keys(session, claim);
    let script = &session.scripts.renew_entry;
    let call = native::renew_entry(script, &keys, claim, &session.voice());
    let (value, have): (Value, u32) = session.run_confirmed(&keys, script, call, limit).await?;
    confirmed(session, native::read_renew_entry(value), have)
}

/// A renewal that too few replicas have may be lost in a failover: it does not count.
fn confirmed(session: &Session, result: Result<Renewal>, have: u32) -> Result<Renewal> {
    match result {
        Ok(Renewal::Renewed { .. }) if have < session.options.min_replicas => {
            Err(session.too_few_replicas(have).unknown())
        }
        other => other,
    }
}

/// One failure for each claim of a batch.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.to_string());
    let copy = match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    };
    if error.outcome() == leasehold_core::Outcome::Unknown { copy.unknown() } else { copy }
}
