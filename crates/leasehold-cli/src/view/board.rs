//! [`Board`]: the locks of a store as the last scan found them. No clock and no I/O.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use leasehold::{
    LockName,
    env::Moment,
    store::{Contender, Snapshot},
};
use serde_json::{Value, json};

use super::changes::{Change, Counter, Kind, Renewals, changes, free};
use crate::{
    describe::snapshot_to_json,
    duration::{millis, show},
};

/// A longer time left than was to be expected is a renewal; less is the delay of an answer.
const SLACK: Duration = Duration::from_millis(250);

/// One scan of a store.
pub(crate) struct Scan {
    /// By name.
    pub(crate) locks: Vec<Snapshot>,
    /// When the store answered.
    pub(crate) at: Moment,
    /// How long it took.
    pub(crate) took: Duration,
    /// The pause after it.
    pub(crate) pause: Duration,
    /// Whether there may be more locks than the limit.
    pub(crate) is_cut: bool,
    /// The extent of the counter of its fencing tokens.
    pub(crate) counter: Counter,
}

/// The difference between two scans.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) changes: Vec<(LockName, Change)>,
    /// The places of the locks that are new, changed or renewed.
    pub(crate) fresh: Vec<usize>,
    /// The locks that are not in the scan any more.
    pub(crate) gone: Vec<LockName>,
}

/// Whether a lock is to be shown anew: times that only went on are no difference.
fn differs(before: &Snapshot, after: &Snapshot, passed: Duration) -> bool {
    let key = |one: &Contender| (one.tag, one.stance, one.fence, one.note.clone());
    let all = |lock: &Snapshot| lock.holders.iter().chain(&lock.waiters).cloned().collect::<Vec<_>>();
    let (before, after) = (all(before), all(after));
    let is_renewed = |(before, after): (&Contender, &Contender)| {
        let expected = before.expires_in.map(|left| left.saturating_sub(passed));
        after.expires_in > expected.map(|left| left + SLACK)
    };
    !before.iter().map(key).eq(after.iter().map(key)) || before.iter().zip(&after).any(is_renewed)
}

/// The order of the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum Sort {
    /// By name.
    #[default]
    Name,
    /// Most waiters first.
    Waiting,
    /// Longest held first.
    Age,
    /// Least time left first.
    Left,
}

impl Sort {
    pub(crate) fn next(self) -> Self {
        match self {
            Sort::Name => Sort::Waiting,
            Sort::Waiting => Sort::Age,
            Sort::Age => Sort::Left,
            Sort::Left => Sort::Name,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Waiting => "waiting",
            Sort::Age => "age",
            Sort::Left => "left",
        }
    }
}

/// The locks, and how they came to be so.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) locks: Vec<Snapshot>,
    pub(crate) at: Option<Moment>,
    took: Duration,
    pause: Duration,
    is_cut: bool,
    /// Grants that two scans showed, since the first.
    grants: u64,
    grants_per_second: f64,
    renewals: Renewals,
}

impl Board {
    /// Takes over a scan and answers the news since the last one. The first has no changes, and all locks are fresh.
    pub(crate) fn update(&mut self, scan: Scan) -> News {
        let passed = self.at.map(|at| scan.at.since(at));
        let all = || News { fresh: (0..scan.locks.len()).collect(), ..News::default() };
        let mut news = passed.map_or_else(all, |passed| self.news(&scan, passed));
        news.changes.extend(self.renewals.observe(&scan.locks, passed.unwrap_or_default()));
        let grants = news.changes.iter().filter(|(_, change)| change.kind == Kind::Granted).count();
        self.grants += grants as u64;
        self.grants_per_second =
            passed.filter(|passed| !passed.is_zero()).map_or(0.0, |span| grants as f64 / span.as_secs_f64());
        (self.locks, self.at) = (scan.locks, Some(scan.at));
        (self.took, self.pause, self.is_cut) = (scan.took, scan.pause, scan.is_cut);
        news
    }

    fn news(&self, scan: &Scan, passed: Duration) -> News {
        let mut before: HashMap<&LockName, &Snapshot> =
            self.locks.iter().map(|lock| (&lock.name, lock)).collect();
        let (mut news, took) = (News::default(), self.took);
        let mut compare = |before: &Snapshot, after: &Snapshot| {
            let found = changes(before, after, passed + took, scan.counter);
            news.changes.extend(found.into_iter().map(|change| (after.name.clone(), change)));
        };
        for (at, after) in scan.locks.iter().enumerate() {
            let known = before.remove(&after.name);
            compare(known.unwrap_or(&free(after)), after);
            if known.is_none_or(|before| differs(before, after, passed)) {
                news.fresh.push(at);
            }
        }
        // Locks behind the limit were not looked at.
        let last = scan.locks.last().filter(|_| scan.is_cut).map(|lock| &lock.name);
        for before in self.locks.iter().filter(|lock| before.contains_key(&lock.name)) {
            if last.is_none_or(|last| before.name <= *last) {
                compare(before, &free(before));
            }
            news.gone.push(before.name.clone());
        }
        news
    }

    /// Takes over a newer state of one lock.
    pub(crate) fn replace(&mut self, lock: Snapshot) {
        let place = self.locks.binary_search_by(|other| other.name.cmp(&lock.name));
        let is_free = lock.holders.is_empty() && lock.waiters.is_empty();
        match place {
            Ok(at) if is_free => drop(self.locks.remove(at)),
            Ok(at) => self.locks[at] = lock,
            Err(_) if is_free => {}
            Err(at) => self.locks.insert(at, lock),
        }
    }

    /// The locks whose names or holders contain `filter`, in order.
    pub(crate) fn shown(&self, filter: &str, sort: Sort) -> Vec<&Snapshot> {
        let is_wanted = |lock: &&Snapshot| {
            let notes = lock.holders.iter().chain(&lock.waiters).filter_map(|one| one.note.as_deref());
            filter.is_empty()
                || lock.name.as_str().contains(filter)
                || notes.into_iter().any(|n| n.contains(filter))
        };
        let mut locks: Vec<&Snapshot> = self.locks.iter().filter(is_wanted).collect();
        match sort {
            Sort::Name => {}
            Sort::Waiting => locks.sort_by_key(|lock| Reverse(lock.waiters.len())),
            Sort::Age => {
                locks.sort_by_key(|lock| Reverse(lock.holders.iter().filter_map(|one| one.age).max()))
            }
            Sort::Left => locks.sort_by_key(|lock| {
                lock.holders.iter().filter_map(|one| one.expires_in).min().unwrap_or(Duration::MAX)
            }),
        }
        locks
    }

    /// The part of its time to live that a holder has left, `elapsed` after the scan.
    pub(crate) fn share_left(&self, holder: &Contender, elapsed: Duration) -> Option<f64> {
        let longest = self.renewals.longest(holder).filter(|longest| !longest.is_zero())?;
        Some(holder.expires_in?.saturating_sub(elapsed).as_secs_f64() / longest.as_secs_f64())
    }

    /// The numbers of holders, of waiters, and of locks that are waited for.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let of = |count: fn(&Snapshot) -> usize| self.locks.iter().map(count).sum();
        [
            of(|lock| lock.holders.len()),
            of(|lock| lock.waiters.len()),
            of(|lock| usize::from(!lock.waiters.is_empty())),
        ]
    }

    /// How long the last scan took.
    #[cfg(feature = "serve")]
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Whether there may be more locks than were scanned.
    #[cfg(feature = "serve")]
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// One line about all locks, and about the cost of the scan.
    pub(crate) fn summary(&self) -> String {
        let [holders, waiters, contended] = self.counts();
        let (locks, more) = (self.locks.len(), if self.is_cut { "+" } else { "" });
        let noun = if locks == 1 && !self.is_cut { "lock" } else { "locks" };
        let target = if contended == 0 { String::new() } else { format!(" for {contended}") };
        format!(
            "{locks}{more} {noun} · {holders} holding · {waiters} waiting{target} · {:.1} grants/s seen · a scan takes {}, the \
             next is in {}",
            self.grants_per_second,
            show(self.took),
            show(self.pause),
        )
    }

    /// The locks and their numbers.
    pub(crate) fn to_json(&self, locks: &[&Snapshot]) -> Value {
        let [holders, waiters, contended] = self.counts();
        json!({
            "locks": locks.iter().map(|lock| snapshot_to_json(lock)).collect::<Vec<Value>>(),
            "holding": holders,
            "waiting": waiters,
            "contended": contended,
            "grants_seen": self.grants,
            "grants_per_second": self.grants_per_second,
            "scan_ms": millis(self.took),
            "is_cut": self.is_cut,
        })
    }
}

#[cfg(test)]
#[path = "tests/board.rs"]
pub(crate) mod tests;
