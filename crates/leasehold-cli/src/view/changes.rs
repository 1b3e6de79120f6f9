//! The changes of a lock between two inspections. No clock and no I/O.

use std::{collections::HashMap, time::Duration};

use leasehold::{
    LockName,
    store::{Capability, Contender, Snapshot, Stance},
};
use serde_json::{Value, json};

use crate::describe::to_json;

/// The kinds of change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Waiting,
    /// It left the queue without the lock.
    Left,
    Granted,
    /// A hold that was renewed before is half over.
    Jeopardy,
    /// The hold ended by its time to live or its session.
    Lost,
    Released,
    /// It ended before its time, and the fencing counter of its lock was raised without a grant that is to be seen: by
    /// `force-release`, or by a grant that came and went between two inspections. Never where locks share a counter.
    Forced,
}

impl Kind {
    #[cfg(feature = "serve")]
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Waiting, Kind::Left, Kind::Granted, Kind::Jeopardy, Kind::Lost, Kind::Released, Kind::Forced];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Waiting => "waiting",
            Kind::Left => "left",
            Kind::Granted => "granted",
            Kind::Jeopardy => "jeopardy",
            Kind::Lost => "lost",
            Kind::Released => "released",
            Kind::Forced => "forced",
        }
    }
}

/// The extent of the fencing counter in [`Snapshot::fence`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counter {
    /// A grant of another lock does not raise it, and no more than this comes with a release.
    OfOneLock { by_release: u64 },
    /// One for all locks, or not known: that it rises says nothing about one of them.
    Shared,
}

impl Counter {
    /// Redis and PostgreSQL keep a counter for each lock. On Redis a release may reserve the token of the next grant, and a
    /// new observer ends that. A file of SQLite has one counter for all, and that of a quorum depends on the members that answer.
    pub(crate) fn of(capability: &Capability) -> Self {
        match capability.scheme {
            "redis" | "redis+sentinel" | "redis+cluster" => Counter::OfOneLock { by_release: 2 },
            "postgres" => Counter::OfOneLock { by_release: 0 },
            _ => Counter::Shared,
        }
    }
}

/// A change, and the holder or waiter whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) who: Contender,
}

impl Change {
    /// The holder or waiter, with the lock and the time.
    pub(crate) fn to_json(&self, lock: &str, at_us: u64) -> Value {
        let mut fields = to_json(&self.who);
        fields["lock"] = json!(lock);
        fields["at_ms"] = json!(at_us / 1000);
        fields
    }
}

/// The changes from `before` to `after`: ends first, then grants, then waiters. `passed` is the time from before the first
/// inspection was sent until the second was answered; a hold whose time was over by then is lost.
pub(crate) fn changes(
    before: &Snapshot,
    after: &Snapshot,
    passed: Duration,
    counter: Counter,
) -> Vec<Change> {
    let token = |of: &Snapshot| of.fence.map_or(0, leasehold::FencingToken::get);
    let was_raised = matches!(counter, Counter::OfOneLock { by_release }
        if token(after) > token(before).saturating_add(by_release))
        && !holding(after).any(|holder| holder.fence == after.fence);
    let is_unchanged_queue = before.waiters.iter().all(|waiter| has(&after.waiters, waiter));
    let ends =
        holding(before).filter(|holder| !holding(after).any(|other| other.tag == holder.tag)).map(|who| {
            let is_over = who.expires_in.is_some_and(|left| left <= passed);
            let kind = match () {
                () if is_over || has(&after.holders, who) => Kind::Lost,
                () if was_raised && is_unchanged_queue => Kind::Forced,
                () => Kind::Released,
            };
            Change { kind, who: who.clone() }
        });
    let grants = holding(after).filter(|who| !holding(before).any(|other| other.tag == who.tag));
    let comers = after.waiters.iter().filter(|who| !has(&before.waiters, who));
    let leavers = before.waiters.iter().filter(|who| !has(&after.waiters, who) && !has(&after.holders, who));
    let of = |kind| move |who: &Contender| Change { kind, who: who.clone() };
    ends.chain(grants.map(of(Kind::Granted)))
        .chain(leavers.map(of(Kind::Left)))
        .chain(comers.map(of(Kind::Waiting)))
        .collect()
}

fn holding(snapshot: &Snapshot) -> impl Iterator<Item = &Contender> {
    snapshot.holders.iter().filter(|holder| holder.stance == Stance::Holding)
}

fn has(contenders: &[Contender], who: &Contender) -> bool {
    contenders.iter().any(|other| other.tag == who.tag)
}

/// A lock without holders and waiters.
pub(crate) fn free(lock: &Snapshot) -> Snapshot {
    Snapshot { holders: Vec::new(), waiters: Vec::new(), ..lock.clone() }
}

/// The shortest time between two looks at holders that are about to end.
const LOOK_MIN: Duration = Duration::from_millis(10);

/// The renewals of holders, as far as inspections show them.
#[derive(Default)]
pub(crate) struct Renewals(HashMap<u32, Renewed>);

#[derive(Clone, Copy)]
struct Renewed {
    /// The most time left that was seen: an estimate of the time to live.
    longest: Duration,
    last: Duration,
    is_renewed: bool,
    is_announced: bool,
}

impl Renewals {
    /// The holders that are in jeopardy since this inspection, `passed` after the last one. A holder that was never seen
    /// to renew, such as one with a fixed end, is not. Holders of other locks than these are forgotten.
    pub(crate) fn observe(&mut self, locks: &[Snapshot], passed: Duration) -> Vec<(LockName, Change)> {
        let (mut before, mut late) = (std::mem::take(&mut self.0), Vec::new());
        let holders = locks.iter().flat_map(|lock| holding(lock).map(|who| (&lock.name, who)));
        for (name, who, left) in holders.filter_map(|(name, who)| Some((name, who, who.expires_in?))) {
            let first =
                Renewed { longest: left, last: left + passed, is_renewed: false, is_announced: false };
            let mut known = before.remove(&who.tag).unwrap_or(first);
            // A renewal adds a third of the time to live; less is the delay of an answer.
            let grew = left > known.last.saturating_sub(passed) + known.longest / 10;
            known.is_renewed |= grew;
            known.is_announced &= !grew;
            (known.last, known.longest) = (left, known.longest.max(left));
            if known.is_renewed && left < known.longest / 2 && !known.is_announced {
                known.is_announced = true;
                late.push((name.clone(), Change { kind: Kind::Jeopardy, who: who.clone() }));
            }
            self.0.insert(who.tag, known);
        }
        late
    }

    /// The time until a holder would be in jeopardy without a renewal, or at its end where it is or may be late already.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let until_half = |known: &Renewed| known.last.checked_sub(known.longest / 2);
        let look = |known: &Renewed| until_half(known).unwrap_or(known.last).max(LOOK_MIN);
        self.0.values().map(look).min()
    }

    /// The time to live of a holder, as far as it was seen.
    pub(crate) fn longest(&self, who: &Contender) -> Option<Duration> {
        self.0.get(&who.tag).map(|known| known.longest)
    }
}

#[cfg(test)]
#[path = "tests/changes.rs"]
mod tests;
