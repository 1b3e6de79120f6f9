//! The renewal of many holds at a time. Their leases are renewed while their keys are read: a lease that lives does not
//! show that its hold was neither released nor evicted.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, LostReason, Renewal, Result};

use super::claim::whole_seconds;
use crate::{
    client::Client,
    format::{State, Value},
    keys::Keys,
    leases::{ClaimLeases, Lease},
    own_claims::ClaimState,
    proto::KeyValue,
    txn::{self, OPERATIONS_MAX, created, get, put, unchanged},
};

/// The reads for one claim.
const READS: usize = 3;
/// Transactions at the same time.
const BATCHES_MAX: usize = 8;

/// Prolongs holds, and never makes one. Returns one answer for each claim, in order.
pub(crate) async fn renew(client: &Arc<Client>, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let mut answers = Vec::with_capacity(claims.len());
    for some in claims.chunks(OPERATIONS_MAX / READS * BATCHES_MAX) {
        let batches = some.chunks(OPERATIONS_MAX / READS).map(|batch| renew_batch(client, batch));
        answers.extend(join_all(batches).await.into_iter().flatten());
    }
    answers
}

async fn renew_batch(client: &Arc<Client>, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let known: Vec<ClaimState> = claims.iter().map(|claim| client.own_claims.state(claim.id)).collect();
    let reads = claims.iter().flat_map(|claim| {
        let keys = Keys::of(&claim.name);
        [get(keys.place(claim.id)), get(keys.delay(claim.id)), get(keys.revoked(claim.id))]
    });
    let renewals = join_all(known.iter().map(|known| renew_known(client, known)));
    let (read, renewals) = tokio::join!(client.txn(txn::read_only(reads)), renewals);
    let mut found = match read {
        Ok(read) => txn::reads(read).into_iter(),
        Err(error) => {
            // The leases may have been renewed all the same.
            return vec![Err(Error::from(error).unknown()); claims.len()];
        }
    };
    let mut answers = Vec::with_capacity(claims.len());
    for (claim, (known, renewed)) in claims.iter().zip(known.into_iter().zip(renewals)) {
        let mut next = || found.next().unwrap_or_default().into_iter().next();
        let (place, delay, is_revoked) = (next(), next(), next().is_some());
        answers.push(One { client, claim, known, place, delay, is_revoked }.answer(renewed).await);
    }
    answers
}

/// Renews the leases of a hold of this client; `None` for a claim that is not known as one, or when they are gone.
async fn renew_known(client: &Client, known: &ClaimState) -> Result<Option<ClaimLeases>> {
    match known.leases.filter(|_| known.held) {
        Some(leases) => client.leases.keep_both(leases).await,
        None => Ok(None),
    }
}

/// One claim of a batch, and its keys as they were read.
struct One<'a> {
    client: &'a Arc<Client>,
    claim: &'a Claim,
    known: ClaimState,
    place: Option<KeyValue>,
    delay: Option<KeyValue>,
    is_revoked: bool,
}

impl One<'_> {
    async fn answer(&self, renewed: Result<Option<ClaimLeases>>) -> Result<Renewal> {
        let Some(place) = &self.place else {
            let reason = if self.is_revoked { LostReason::ForceReleased } else { LostReason::Gone };
            return Ok(Renewal::Gone(reason));
        };
        let value = Value::read(&place.value).filter(|value| value.state == State::Held);
        let Some(value) = value else { return Ok(Renewal::Gone(LostReason::Gone)) };
        // A hold of this id that another client has made is as good; a place of this client that only waited is none.
        if self.known.create == place.create_revision && !self.known.held {
            return Ok(Renewal::Gone(LostReason::Gone));
        }
        let is_known = self.known.held && self.known.leases.is_some_and(|leases| self.are_read(&leases));
        let kept = if is_known { renewed? } else { self.renew_found(place, &value).await? };
        let Some(kept) = kept else { return Ok(Renewal::Gone(LostReason::Expired)) };
        if is_known {
            self.record(kept);
        }
        let seconds = whole_seconds(self.claim.ttl);
        if kept.place.lives >= seconds {
            return Ok(Renewal::Renewed { valid_for: Duration::from_secs(kept.place.lives) });
        }
        self.stretch(place, value, seconds).await
    }

    /// Whether these are the leases of the keys that were read.
    fn are_read(&self, leases: &ClaimLeases) -> bool {
        self.place.as_ref().is_some_and(|place| place.lease == leases.place.id)
            && self.delay.as_ref().map(|kv| kv.lease) == leases.delay.map(|lease| lease.id)
    }

    fn record(&self, kept: ClaimLeases) {
        let Some(own) = self.client.own_claims.get(self.claim.id) else { return };
        let mut state = own.state.lock();
        if let Some(leases) = state.leases.as_mut().filter(|leases| leases.place.id == kept.place.id) {
            *leases = ClaimLeases { place: kept.place, delay: kept.delay.or(leases.delay) };
        }
    }

    /// Renews the leases of the keys that were read.
    async fn renew_found(&self, place: &KeyValue, value: &Value) -> Result<Option<ClaimLeases>> {
        let found = |lease: i64, seconds: u64| Lease::found(lease, seconds, self.client.env.now());
        let delay = self.delay.as_ref().map(|kv| found(kv.lease, value.lease_s + value.delay_s));
        let leases = ClaimLeases { place: found(place.lease, value.lease_s), delay };
        self.client.leases.keep_both(leases).await
    }

    /// Gives a hold other leases: the claim's time to live is longer than that of the present ones.
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
        let answer = self.client.txn(txn::only_if(compare, success)).await?;
        if !answer.succeeded {
            let error = Error::new(ErrorKind::TimedOut, "the hold was changed at the same time");
            return Err(error.hint("it is renewed again").unknown());
        }
        if let Some(own) = self.client.own_claims.get(id) {
            own.state.lock().leases = Some(ClaimLeases { place: lease, delay });
        }
        Ok(Renewal::Renewed { valid_for: Duration::from_secs(lease.lives) })
    }
}
