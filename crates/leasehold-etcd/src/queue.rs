//! [`Queue`]: the state of a lock, read in one transaction, and the decisions that follow from it. No I/O.

use std::{collections::HashMap, time::Duration};

use leasehold_core::{
    Busy, Claim, ClaimId, Contender, Error, FencingToken, Mode, Queueing, Result, Stance,
    decide::grant::{QueueEntry, Verdict, grant, runnable},
};

use crate::{
    format::{State, Value},
    keys::{Keys, Part},
    protocol::KeyValue,
};

/// How long a key may outlive its lease: etcd looks for expired leases twice a second.
const REVOCATION: Duration = Duration::from_millis(700);

/// An upgrade compares every other key: beside more of them it is refused.
const COMPARED_MAX: usize = 100;

/// A holder, a waiter, or a delay that keeps the lock shut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// `None` for a key of another library.
    pub(crate) id: Option<ClaimId>,
    pub(crate) key: Vec<u8>,
    /// The revision that created the key.
    pub(crate) create: i64,
    /// The revision that last wrote it.
    pub(crate) modified: i64,
    pub(crate) lease: i64,
    pub(crate) stance: Stance,
    pub(crate) value: Option<Value>,
    /// The lease of its delay, if it has one beside its place.
    pub(crate) delay: Option<i64>,
}

/// A lock as it was at one revision.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Queue {
    /// In order of arrival.
    pub(crate) entries: Vec<Entry>,
    /// The distance of tokens above revisions, and the revision that wrote it.
    pub(crate) raised: (u64, i64),
    pub(crate) revision: i64,
}

impl Queue {
    /// Reads the keys of one lock, and its fence key.
    pub(crate) fn read(keys: &Keys, kvs: Vec<KeyValue>, fence: Option<&KeyValue>, revision: i64) -> Queue {
        let oldest = kvs.iter().map(|kv| kv.create_revision).min().unwrap_or_default();
        let mut delays = HashMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(kvs.len());
        for kv in kvs {
            match (keys.part(&kv.key), Value::read(&kv.value)) {
                (Part::Delay(id), value) => drop(delays.insert(id, (kv, value))),
                (part, value) => match claim_of(part, value) {
                    Some((id, value)) => {
                        let holds = value.state == State::Held;
                        entries.push(Entry::new(kv, holds, Some((id, value))));
                    }
                    // Go's rule: the oldest key holds.
                    None => {
                        let holds = kv.create_revision == oldest;
                        entries.push(Entry::new(kv, holds, None));
                    }
                },
            }
        }
        for entry in &mut entries {
            let delay = entry.id.and_then(|id| delays.remove(&id));
            entry.delay = delay.map(|(kv, _)| kv.lease);
        }
        for (id, (kv, value)) in delays {
            if let Some(value) = value.filter(|value| value.state == State::Armed) {
                let entry = Entry::new(kv, true, Some((id, value)));
                entries.push(Entry { stance: Stance::Delaying, ..entry });
            }
        }
        entries.sort_by(|one, two| (one.create, &one.key).cmp(&(two.create, &two.key)));
        let raised = fence.map_or((0, 0), |kv| {
            let text = std::str::from_utf8(&kv.value).unwrap_or_default();
            (text.parse().unwrap_or_default(), kv.mod_revision)
        });
        Queue { entries, raised, revision }
    }

    /// The index of a claim's entry.
    pub(crate) fn find(&self, id: ClaimId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == Some(id))
    }

    /// The number of permits of the oldest entry, when `claim` has another.
    pub(crate) fn mismatch(&self, claim: &Claim) -> Option<Option<u32>> {
        let first = self.entries.first().filter(|first| first.id != Some(claim.id))?;
        let limit = first.mode().limit();
        (limit != claim.mode.limit()).then_some(limit)
    }

    /// Whether the claim can be granted, in its place or, if it has none, behind all others.
    pub(crate) fn grants(&self, claim: &Claim) -> bool {
        let mut places = self.places();
        let at = self.find(claim.id).unwrap_or_else(|| {
            places.push(QueueEntry { mode: claim.mode, queueing: Queueing::Fifo, holds: false });
            places.len() - 1
        });
        places[at].mode = claim.mode;
        grant(&places, at) == Verdict::Granted
    }

    /// Whether a hold may be changed to this mode. An upgrade needs that no other claim holds or can be granted now.
    pub(crate) fn may_become(&self, at: usize, to: Mode) -> bool {
        match (self.entries[at].mode(), to) {
            (before, after) if before == after => true,
            (Mode::Exclusive, Mode::Shared) => true,
            (Mode::Shared, Mode::Exclusive) => {
                let others = self.entries.iter().enumerate().filter(|(other, _)| *other != at);
                let alone = others.clone().all(|(_, entry)| entry.stance == Stance::Waiting);
                alone && others.count() <= COMPARED_MAX && self.runnable().next().is_none()
            }
            (Mode::Permits { take: before, of }, Mode::Permits { take: after, of: same }) => {
                after <= before && of == same
            }
            _ => false,
        }
    }

    /// The waiters that can be granted now.
    pub(crate) fn runnable(&self) -> impl Iterator<Item = ClaimId> + '_ {
        runnable(&self.places()).into_iter().filter_map(|at| self.entries[at].id)
    }

    /// The entries that keep a claim out: holders, and earlier ones.
    pub(crate) fn blockers(&self, id: ClaimId) -> impl Iterator<Item = &Entry> {
        let mine = self.find(id).unwrap_or(self.entries.len());
        let all = self.entries.iter().enumerate();
        all.filter(move |(at, entry)| entry.id != Some(id) && (*at < mine || entry.stance != Stance::Waiting))
            .map(|(_, entry)| entry)
    }

    /// The answer to a claim that is kept out.
    pub(crate) fn busy(&self, claim: &Claim, wall_us: u64) -> Busy {
        let first = self.blockers(claim.id).find(|entry| entry.stance != Stance::Waiting);
        let ahead = self.blockers(claim.id).count();
        // A lease that was renewed may live for its whole time once more.
        let ends = self.blockers(claim.id).filter_map(|entry| {
            let value = entry.value.as_ref()?;
            Some(value.left(wall_us).unwrap_or(Duration::from_secs(value.lease_s)) + REVOCATION)
        });
        let recheck_in = ends.min().unwrap_or(claim.ttl).min(claim.ttl / 3).max(Duration::from_millis(50));
        Busy {
            holder: first.map(|entry| self.contender(entry, wall_us)),
            ahead: (claim.queueing != Queueing::No).then(|| u32::try_from(ahead).unwrap_or(u32::MAX)),
            recheck_in,
        }
    }

    /// The number of an entry's token: the one in its value, or the revision that created its key, raised by the
    /// distance that was written before it was granted.
    pub(crate) fn token(&self, entry: &Entry) -> u64 {
        if let Some(fence) = entry.value.as_ref().and_then(|value| value.fence) {
            return fence;
        }
        let create = u64::try_from(entry.create).unwrap_or_default();
        let (raised, since) = self.raised;
        if since < entry.modified { create.saturating_add(raised) } else { create }
    }

    /// The token of an entry; an error when it would be 2^53 or above.
    pub(crate) fn fence(&self, entry: &Entry) -> Result<FencingToken> {
        FencingToken::after(self.token(entry).saturating_sub(1), 0).map_err(Error::unknown)
    }

    /// The entry as `inspect` shows it.
    pub(crate) fn contender(&self, entry: &Entry, wall_us: u64) -> Contender {
        let value = entry.value.as_ref();
        let timed = value.filter(|_| entry.stance != Stance::Delaying);
        let holds = entry.stance != Stance::Waiting;
        Contender {
            tag: entry.id.map_or_else(|| foreign_tag(entry.lease), Contender::tag_of),
            stance: entry.stance,
            mode: value.map(|value| value.mode),
            expires_in: timed.and_then(|value| value.left(wall_us)),
            age: timed.map(|value| Duration::from_micros(wall_us.saturating_sub(value.since_us))),
            fence: FencingToken::new(self.token(entry)).ok().filter(|_| holds),
            note: value.and_then(|value| value.note.clone()),
        }
    }

    fn places(&self) -> Vec<QueueEntry> {
        let places = self.entries.iter().map(|entry| QueueEntry {
            mode: entry.mode(),
            // No claim overtakes another: the order of the keys is the order of the tokens.
            queueing: Queueing::Fifo,
            holds: entry.stance != Stance::Waiting,
        });
        places.collect()
    }
}

impl Entry {
    fn new(kv: KeyValue, holds: bool, own: Option<(ClaimId, Value)>) -> Entry {
        let (id, value) = own.unzip();
        Entry {
            id,
            key: kv.key,
            create: kv.create_revision,
            modified: kv.mod_revision,
            lease: kv.lease,
            stance: if holds { Stance::Holding } else { Stance::Waiting },
            value,
            delay: None,
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.value.as_ref().map_or(Mode::Exclusive, |value| value.mode)
    }

    /// Whether its lease may be over: it is, unless it was renewed.
    pub(crate) fn may_be_due(&self, wall_us: u64) -> bool {
        self.lease != 0 && self.value.as_ref().is_some_and(|value| value.left(wall_us).is_none())
    }
}

/// The claim whose place a key is.
pub(crate) fn claim_of(part: Part, value: Option<Value>) -> Option<(ClaimId, Value)> {
    let value = value?;
    match part {
        Part::Place(id) => Some((id, value)),
        Part::Client => Some((value.id?, value)),
        Part::Delay(_) | Part::Foreign => None,
    }
}

/// The first key of a claim among those of its lock.
pub(crate) fn find(keys: &Keys, id: ClaimId, kvs: impl IntoIterator<Item = KeyValue>) -> Option<KeyValue> {
    let is_own = |kv: &KeyValue| {
        let found = claim_of(keys.part(&kv.key), Value::read(&kv.value));
        found.is_some_and(|(found, _)| found == id)
    };
    kvs.into_iter().filter(is_own).min_by_key(|kv| kv.create_revision)
}

fn foreign_tag(lease: i64) -> u32 {
    ((lease as u64) >> 32) as u32 ^ lease as u32
}

#[cfg(test)]
mod tests;
