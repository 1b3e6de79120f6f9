//! Renewal: many holds at a time. Their leases are renewed, and in the same moment their keys are looked at: a lease that
//! lives says nothing of a hold that was released or thrown out.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, LostReason, Outcome, Renewal, Result};

use crate::{
    client::ClientState,
    format::{State, Value},
    keys::Keys,
    leases::Lease,
    own_claims::ClaimState,
    proto::{KeyValue, TxnRequest, TxnResponse},
    transport::{Refused, locked},
    txn::{self, OPERATIONS_MAX, created, get, put, unchanged},
    verbs::claim::whole_seconds,
};

/// What is read of each.
const READS: usize = 3;
/// So many transactions are under way at a time.
const AT_ONCE: usize = 8;

/// Prolongs holds; never makes one. One answer a claim, in order.
pub(crate) async fn renew(client: &Arc<ClientState>, claims: &[Claim]) -> Vec<Result<Renewal>> {
    if let Err(error) = client.refuse_closed() {
        return claims.iter().map(|_| Err(copy(&error))).collect();
    }
    let mut answers = Vec::with_capacity(claims.len());
    for some in claims.chunks(OPERATIONS_MAX / READS * AT_ONCE) {
        let batches = some.chunks(OPERATIONS_MAX / READS).map(|batch| renew_batch(client, batch));
        answers.extend(join_all(batches).await.into_iter().flatten());
    }
    answers
}

async fn renew_batch(client: &Arc<ClientState>, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let known: Vec<ClaimState> = claims
        .iter()
        .map(|claim| client.known(claim.id).map(|slot| locked(&slot.known).clone()).unwrap_or_default())
        .collect();
    let reads = claims.iter().flat_map(|claim| {
        let keys = Keys::of(&claim.name);
        [get(keys.place(claim.id)), get(keys.delay(claim.id)), get(keys.revoked(claim.id))]
    });
    let request = TxnRequest { success: reads.collect(), ..TxnRequest::default() };
    let renewals = join_all(known.iter().map(|known| renew_known(client, known)));
    let (read, renewals) = tokio::join!(client.txn(request), renewals);
    let mut found = match read {
        Ok(read) => txn::reads(read).into_iter(),
        Err(refused) => {
            // Leases may have been renewed all the same.
            let error = Error::from(refused).unknown();
            return claims.iter().map(|_| Err(copy(&error))).collect();
        }
    };
    let mut answers = Vec::with_capacity(claims.len());
    for (claim, (known, renewed)) in claims.iter().zip(known.into_iter().zip(renewals)) {
        let mut next = || found.next().unwrap_or_default().into_iter().next();
        let one = One { client, claim, known, place: next(), delay: next(), is_revoked: next().is_some() };
        answers.push(one.answer(renewed).await);
    }
    answers
}

type Renewed = Result<(Option<Lease>, Option<Lease>)>;

/// Renews the leases that a claim is known to live by; nothing is known of most claims of other clients.
async fn renew_known(client: &ClientState, known: &ClaimState) -> Renewed {
    let keep = |lease: Option<Lease>| async move {
        match lease.filter(|_| known.held) {
            Some(lease) => client.leases.keep(lease).await,
            None => Ok(None),
        }
    };
    let place = keep(known.lease).await?;
    // After it: where the place has gone, the delay runs, and is not to be prolonged.
    let delay = if place.is_some() { keep(known.delay).await? } else { None };
    Ok((place, delay))
}

/// One claim of a batch, and what was found of it.
struct One<'a> {
    client: &'a Arc<ClientState>,
    claim: &'a Claim,
    known: ClaimState,
    place: Option<KeyValue>,
    delay: Option<KeyValue>,
    is_revoked: bool,
}

impl One<'_> {
    async fn answer(&self, renewed: Renewed) -> Result<Renewal> {
        let Some(place) = &self.place else {
            let reason = if self.is_revoked { LostReason::ForceReleased } else { LostReason::Gone };
            return Ok(Renewal::Gone(reason));
        };
        let value = Value::read(&place.value).filter(|value| value.state == State::Held);
        let Some(value) = value else { return Ok(Renewal::Gone(LostReason::Gone)) };
        // A place of this id that another client made is as good; one that we know only as a wait is none.
        if self.known.create == place.create_revision && !self.known.held {
            return Ok(Renewal::Gone(LostReason::Gone));
        }
        let delay = self.delay.as_ref().map(|kv| kv.lease);
        let is_known = self.known.held
            && self.known.lease.is_some_and(|lease| lease.id == place.lease)
            && delay == self.known.delay.map(|lease| lease.id);
        let (lease, delay) = if is_known { renewed? } else { self.renew_found(place, &value).await? };
        let Some(lease) = lease else { return Ok(Renewal::Gone(LostReason::Expired)) };
        if let Some(slot) = self.client.known(self.claim.id).filter(|_| is_known) {
            let mut known = locked(&slot.known);
            if known.lease.is_some_and(|known| known.id == lease.id) {
                (known.lease, known.delay) = (Some(lease), delay.or(known.delay));
            }
        }
        let seconds = whole_seconds(self.claim.ttl);
        if lease.lives >= seconds {
            return Ok(Renewal::Renewed { valid_for: Duration::from_secs(lease.lives) });
        }
        self.stretch(place, value, seconds).await
    }

    async fn renew_found(&self, place: &KeyValue, value: &Value) -> Result<(Option<Lease>, Option<Lease>)> {
        let keep = |id: i64, seconds: u64| {
            let until = self.client.env.now();
            self.client.leases.keep(Lease { id, seconds, lives: seconds, until })
        };
        let place = keep(place.lease, value.lease_s).await?;
        let delay = match &self.delay {
            Some(delay) if place.is_some() => keep(delay.lease, value.lease_s + value.delay_s).await?,
            _ => None,
        };
        Ok((place, delay))
    }

    /// The claim's time to live is longer than that of its leases: it gets others.
    async fn stretch(&self, place: &KeyValue, value: Value, seconds: u64) -> Result<Renewal> {
        let (keys, id, leases) = (Keys::of(&self.claim.name), self.claim.id, &self.client.leases);
        let lease = leases.grant(seconds).await?;
        let wanted = Value { lease_s: lease.lives, ..value };
        let mut success = vec![put(keys.place(id), wanted.write(), lease.id)];
        let mut delay = None;
        if self.delay.is_some() {
            let longer = leases.grant(lease.lives + wanted.delay_s).await?;
            let armed = Value { state: State::Armed, ..wanted };
            success.push(put(keys.delay(id), armed.write(), longer.id));
            delay = Some(longer);
        }
        let compare = vec![
            created(keys.place(id), place.create_revision),
            unchanged(keys.place(id), place.mod_revision),
        ];
        let request = TxnRequest { compare, success, failure: Vec::new() };
        let answer: TxnResponse = self.client.txn(request).await.map_err(|refused| match refused {
            Refused::Error(error) => error,
            other => other.into(),
        })?;
        if !answer.succeeded {
            let error = Error::new(ErrorKind::TimedOut, "the hold was changed in the same moment");
            return Err(error.hint("it is renewed again").unknown());
        }
        if let Some(slot) = self.client.known(id) {
            let mut known = locked(&slot.known);
            (known.lease, known.delay) = (Some(lease), delay);
        }
        Ok(Renewal::Renewed { valid_for: Duration::from_secs(lease.lives) })
    }
}

/// One failure for each claim of a batch.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.to_string());
    let copy = error.hint_text().iter().fold(copy, |copy, hint| copy.hint(*hint));
    if error.outcome() == Outcome::Unknown { copy.unknown() } else { copy }
}
