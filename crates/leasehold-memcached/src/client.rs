//! [`Client`]: the state that all operations of one client share.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{ClientState, InDoubt},
};

use crate::{
    format::SPAN_END,
    keys::{LockKeys, RUN},
    lock_record::{LockRecord, item_or_none},
    options::MemcachedOptions,
    own_claims::{Hold, HoldCache},
    server_info::{RUN_DATE, THIRTY_DAYS},
    transport::{
        Received, Transport,
        protocol::{CommandBatch, Reply},
    },
};

/// The number of times that an operation begins again because other clients change the lock.
pub(crate) const ATTEMPTS_MAX: u32 = 100;
/// The number of claims in doubt that are remembered.
const IN_DOUBT_MAX: usize = 4096;
/// The longest time after which a request may still be delivered.
const DELIVERY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) env: Env,
    pub(crate) options: Arc<MemcachedOptions>,
    pub(crate) transport: Transport,
    pub(crate) holds: HoldCache,
    pub(crate) in_doubt: InDoubt,
    pub(crate) state: ClientState,
}

impl Client {
    pub(crate) fn new(options: MemcachedOptions, env: Env) -> Client {
        let (options, revalidations) = (Arc::new(options), Revalidations::default());
        let transport = Transport::new(options.clone(), env.clone(), revalidations.clone());
        Client {
            state: ClientState::new(options.capability(), &options.url, revalidations),
            env,
            options,
            transport,
            holds: HoldCache::default(),
            in_doubt: InDoubt::new(IN_DOUBT_MAX),
        }
    }

    /// Marks a claim as in doubt when the outcome of its request is unknown.
    pub(crate) fn mark_in_doubt<T>(&self, id: ClaimId, result: &Result<T>) {
        let now = self.env.now();
        self.in_doubt.mark_unknown(id, result, now + DELIVERY_MAX, now);
    }

    /// The commands whose replies [`Client::parse`] takes.
    pub(crate) fn query(keys: &LockKeys) -> CommandBatch {
        CommandBatch::new().get(&keys.lock).get(&keys.offset).get(RUN)
    }

    pub(crate) fn parse(
        &self,
        keys: &LockKeys,
        replies: &mut impl Iterator<Item = Reply>,
        received: &Received,
    ) -> Result<LockRecord> {
        let (server, known) = (&received.server, |id| self.holds.get(id)?.fence);
        let mut record = LockRecord::parse(keys, replies, server.clone(), known)?;
        match item_or_none(replies.next())? {
            Some(run) if run.value == server.mark.as_bytes() => {
                let second = RUN_DATE.saturating_sub(run.ttl.unwrap_or(RUN_DATE));
                record.lag = if second > 0 { self.transport.lag(second, received) } else { Duration::ZERO };
            }
            // It was flushed or evicted, and so may be our holds. A server without room for it has an empty mark.
            _ if !server.mark.is_empty() => self.transport.suspect_data_loss(received),
            _ => {}
        }
        Ok(record)
    }

    pub(crate) async fn record(&self, keys: &LockKeys) -> Result<LockRecord> {
        let (mut replies, received) = self.transport.call(Client::query(keys)).await?;
        self.parse(keys, &mut replies, &received)
    }

    /// Updates the cached hold of a claim from the record.
    pub(crate) fn remember(&self, id: ClaimId, record: &LockRecord) {
        let Some((own, entry)) = record.held_by(id) else { return self.holds.forget(id) };
        let sole = own.document.entries().len() == 1;
        let hold = Hold {
            cas: own.cas,
            sole,
            in_place: sole && own.end == SPAN_END && !own.pending,
            delay: entry.lock_delay.as_secs(),
            fence: entry.fence,
            until: self.env.now() + entry.expires.since(own.now),
        };
        self.holds.insert(id, hold, self.env.now());
    }

    /// Lets other clients go first, for a random moment that grows with the number of attempts.
    pub(crate) async fn back_off(&self, attempt: u32) {
        if attempt > 2 {
            let longest = Duration::from_millis(1).saturating_mul(attempt).min(Duration::from_millis(50));
            self.env.sleep(self.env.jitter(longest)).await;
        }
    }
}

/// The claim with its spans rounded up to whole seconds, the unit of the server.
///
/// # Errors
/// [`ErrorKind::Invalid`] when time to live and lock-delay together are so long that the server takes them for a date.
pub(crate) fn whole_seconds(claim: &Claim) -> Result<Claim> {
    let claim = Claim { ttl: ceil(claim.ttl), lock_delay: ceil(claim.lock_delay), ..claim.clone() };
    if claim.ttl.saturating_add(claim.lock_delay) > Duration::from_secs(THIRTY_DAYS) {
        let message = "a time to live and a lock-delay of more than 30 days together";
        return Err(
            Error::new(ErrorKind::Invalid, message).hint("Memcached takes more than 30 days for a date")
        );
    }
    Ok(claim)
}

fn ceil(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use leasehold_core::LockName;

    use super::*;

    #[test]
    fn spans_are_whole_seconds_and_no_dates() {
        let claim = |ttl: Duration, lock_delay: Duration| Claim {
            lock_delay,
            ..Claim::new(LockName::new("a").unwrap(), ClaimId::from_bits(1), ttl)
        };
        let second = Duration::from_secs;
        let rounded = whole_seconds(&claim(Duration::from_millis(2001), Duration::from_millis(1))).unwrap();
        assert_eq!((rounded.ttl, rounded.lock_delay), (second(3), second(1)));
        assert!(whole_seconds(&claim(second(THIRTY_DAYS), second(0))).is_ok());
        for delay in [second(1), Duration::MAX] {
            assert_eq!(
                whole_seconds(&claim(second(THIRTY_DAYS), delay)).unwrap_err().kind(),
                ErrorKind::Invalid
            );
        }
    }
}
