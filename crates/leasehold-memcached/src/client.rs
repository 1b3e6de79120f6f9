//! [`ClientState`]: what the verbs of one client share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, Error, ErrorKind, Result, Revalidations};

use crate::{
    batch::CommandBatch,
    format::SPAN_END,
    in_doubt::InDoubtClaims,
    keys::RUN,
    lock_record::{LockKeys, LockRecord},
    options::MemcachedOptions,
    own_claims::{Hold, HoldCache},
    reply::Reply,
    server_info::{RUN_DATE, THIRTY_DAYS},
    transport::{Received, Transport},
};

/// How often a verb begins anew because others change the lock at the same time.
pub(crate) const TRIES: u32 = 100;

/// One client.
#[derive(Debug)]
pub(crate) struct ClientState {
    pub(crate) env: Env,
    pub(crate) options: Arc<MemcachedOptions>,
    pub(crate) node: Transport,
    pub(crate) revalidations: Revalidations,
    pub(crate) holds: HoldCache,
    pub(crate) in_doubt: InDoubtClaims,
    closed: AtomicBool,
}

impl ClientState {
    pub(crate) fn new(options: MemcachedOptions, env: Env) -> ClientState {
        let (options, revalidations) = (Arc::new(options), Revalidations::default());
        let node = Transport::new(options.clone(), env.clone(), revalidations.clone());
        ClientState {
            env,
            options,
            node,
            revalidations,
            holds: HoldCache::default(),
            in_doubt: InDoubtClaims::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn refuse_closed(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, "this client is closed")),
            false => Ok(()),
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.node.close();
    }

    /// One packet, answered in the time that the options allow.
    pub(crate) async fn call(&self, packet: CommandBatch) -> Result<(std::vec::IntoIter<Reply>, Received)> {
        let (replies, heard) = self.node.call(packet, self.options.timeout).await?;
        Ok((replies.into_iter(), heard))
    }

    /// The commands whose replies [`ClientState::read`] reads.
    pub(crate) fn look_at(place: &LockKeys) -> CommandBatch {
        CommandBatch::new().look(&place.keys.lock).look(&place.keys.offset).look(RUN)
    }

    pub(crate) fn read(
        &self,
        place: &LockKeys,
        replies: &mut impl Iterator<Item = Reply>,
        heard: &Received,
    ) -> Result<LockRecord> {
        let (server, known) = (&heard.server, |id| self.holds.fence(id));
        let mut look = LockRecord::read(place, replies, server.clone(), known)?;
        match look.run.take() {
            Some(run) if run.value == server.mark.as_bytes() => {
                let second = RUN_DATE.saturating_sub(run.ttl.unwrap_or(RUN_DATE));
                look.lag = if second > 0 { self.node.lag(second, heard) } else { Duration::ZERO };
            }
            // It was flushed or evicted, and so may be what we hold. Without room for it there is nothing to see.
            _ if !server.mark.is_empty() => self.node.doubt(server),
            _ => {}
        }
        Ok(look)
    }

    /// What is there now.
    pub(crate) async fn look(&self, place: &LockKeys) -> Result<LockRecord> {
        let (mut replies, heard) = self.call(ClientState::look_at(place)).await?;
        self.read(place, &mut replies, &heard)
    }

    /// Remembers a hold as it is now, or that it is none.
    pub(crate) fn note(&self, id: ClaimId, look: &LockRecord) {
        let Some((ours, entry)) = look.held_by(id) else { return self.holds.forget(id) };
        let sole = ours.document.entries().len() == 1;
        let hold = Hold {
            cas: ours.cas,
            sole,
            in_place: sole && ours.end == SPAN_END && !ours.pending,
            delay: entry.lock_delay.as_secs(),
            fence: entry.fence,
            until: self.env.now() + entry.expires.since(ours.now),
        };
        self.holds.note(id, hold, self.env.now());
    }

    /// Lets others go first, for a moment that grows with the number of tries.
    pub(crate) async fn back_off(&self, tries: u32) {
        if tries > 2 {
            let longest = Duration::from_millis(1).saturating_mul(tries).min(Duration::from_millis(50));
            self.env.sleep(self.env.jitter(longest)).await;
        }
    }
}

/// Too many others change the lock at the same time.
pub(crate) fn too_contended() -> Error {
    Error::new(ErrorKind::TimedOut, "others changed the lock at the same time, again and again")
        .hint("ask again; a store that wakes its waiters suits a crowd better")
}

/// The claim in whole_seconds seconds, as the server counts.
///
/// # Errors
/// [`ErrorKind::Invalid`] when hold and lock-delay together are a date to the server.
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
