//! The renewal of many holds at a time. Their leases are renewed while their keys are read: a lease that lives does not
//! show that its hold was neither released nor evicted.

use std::time::Duration;

use futures_util::future::join_all;
use leasehold_core::{Claim, Error, ErrorKind, Intent, LostReason, Renewal, Result, Standing};

use super::claim::whole_seconds;
use crate::{
    client::Client,
    format::{State, Value},
    keys::Keys,
    leases::ClaimLeases,
    own_claims::ClaimState,
    protocol::KeyValue,
    queue::find,
    txn::{self, OPERATIONS_MAX, get, range},
};

/// The reads for one claim.
const READS: usize = 3;
/// Transactions at the same time.
const BATCHES_MAX: usize = 8;

/// Prolongs holds, and never makes one. Returns one answer for each claim, in order.
pub(crate) async fn renew(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let mut answers = Vec::with_capacity(claims.len());
    for some in claims.chunks(OPERATIONS_MAX / READS * BATCHES_MAX) {
        let batches = some.chunks(OPERATIONS_MAX / READS).map(|batch| renew_batch(client, batch));
        answers.extend(join_all(batches).await.into_iter().flatten());
    }
    answers
}

async fn renew_batch(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let known: Vec<ClaimState> = claims.iter().map(|claim| client.own_claims.state(claim.id)).collect();
    let reads = claims.iter().zip(&known).flat_map(|(claim, known)| {
        let keys = Keys::of(&claim.name);
        let place = known.place.clone().map_or_else(|| range(keys.range()), get);
        [place, get(keys.delay(claim.id)), get(keys.revoked(claim.id))]
    });
    let renewals = join_all(known.iter().map(|known| renew_known(client, known)));
    let (read, renewals) = tokio::join!(client.txn(txn::read_only(reads)), renewals);
    let mut found = match read {
        Ok(read) => txn::reads(read).into_iter(),
        // A key that may not be read: each claim by itself.
        Err(error) if error.kind() == ErrorKind::Rejected && claims.len() > 1 => {
            let alone = claims.chunks(1).map(|claim| Box::pin(renew_batch(client, claim)));
            return join_all(alone).await.into_iter().flatten().collect();
        }
        // The leases may have been renewed all the same.
        Err(error) => return vec![Err(error.unknown()); claims.len()],
    };
    let mut answers = Vec::with_capacity(claims.len());
    for (claim, (known, renewed)) in claims.iter().zip(known.into_iter().zip(renewals)) {
        let mut next = || found.next().unwrap_or_default();
        let place = find(&Keys::of(&claim.name), claim.id, next());
        let (delay, is_revoked) = (next().into_iter().next(), !next().is_empty());
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
    client: &'a Client,
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
        if self.known.held && self.known.leases.is_some_and(|leases| self.are_read(place, &leases)) {
            let Some(kept) = renewed? else { return Ok(Renewal::Gone(LostReason::Expired)) };
            self.record(kept);
            if kept.place.lives >= whole_seconds(self.claim.ttl) {
                return Ok(Renewal::Renewed { valid_for: Duration::from_secs(kept.place.lives) });
            }
        }
        self.amend(value).await
    }

    /// Whether these are the leases of the keys that were read.
    fn are_read(&self, place: &KeyValue, leases: &ClaimLeases) -> bool {
        place.lease == leases.place.id
            && self.delay.as_ref().map(|kv| kv.lease) == leases.delay.map(|lease| lease.id)
    }

    fn record(&self, kept: ClaimLeases) {
        let Some(own) = self.client.own_claims.get(self.claim.id) else { return };
        let mut state = own.state.lock();
        if let Some(leases) = state.leases.as_mut().filter(|leases| leases.place.id == kept.place.id) {
            *leases = ClaimLeases { place: kept.place, delay: kept.delay.or(leases.delay) };
        }
    }

    /// Renews a hold that lives by other leases than this client knows, or for less than the claim's time to live, and
    /// changes nothing else.
    async fn amend(&self, stored: Value) -> Result<Renewal> {
        let claim = Claim {
            intent: Intent::Amend,
            mode: stored.mode,
            note: stored.note,
            lock_delay: Duration::from_secs(stored.delay_s),
            ..self.claim.clone()
        };
        let own = self.client.own_claims.enter(&claim, self.client.env.now());
        match Box::pin(super::claim::claim(self.client, &claim, own)).await? {
            Standing::Granted(grant) => Ok(Renewal::Renewed { valid_for: grant.valid_for }),
            Standing::Gone(reason) => Ok(Renewal::Gone(reason)),
            _ => {
                let error = Error::new(ErrorKind::TimedOut, "the hold was changed at the same time");
                Err(error.hint("it is renewed again").unknown())
            }
        }
    }
}
