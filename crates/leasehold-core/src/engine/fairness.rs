//! Bounded overtaking: when a waiter queues in order, how often it asks, and when a client that takes one lock again and
//! again lets others in.

use std::{collections::HashMap, time::Duration};

use crate::{Busy, Capability, Claim, Contender, LockName, Mode, Moment, store_kit::Locked};

/// How long a waiter may be overtaken, where the store queues: long enough for a client to pass a lock on among its tasks
/// some dozens of times, which costs less than a hand-over to another client.
pub(super) const OVERTAKEN_MAX: Duration = Duration::from_millis(25);
/// The least time between two requests of a waiter that is not woken.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(1);
/// How many times as long a waiter sleeps that is woken: a wake-up may be lost among the members of a quorum.
pub(super) const WHEN_WOKEN: u32 = 16;
/// How long a client takes a lock again and again before it stands back, when others were there last time.
const STREAK_MIN: Duration = Duration::from_millis(25);
/// The same when nobody came for a long time.
const STREAK_MAX: Duration = Duration::from_millis(200);
/// How long it stands back at least: some intervals of a waiter that has waited for as long.
const STAND_BACK_MIN: Duration = Duration::from_millis(3);
/// A lock that was left alone for this long was free for others.
const LEFT_ALONE: Duration = Duration::from_millis(2);
/// How many times a claim stands back while a task of its own client still holds the lock.
pub(super) const STAND_BACKS_MAX: u32 = 8;
/// How many names are remembered.
const NAMES_MAX: usize = 1024;

/// Whether the store hands over to its waiters in order. One that wakes nobody does not: the lock would stay shut until the
/// next waiter asks, or for a whole ttl if that has died.
pub(super) fn hands_over(capability: &Capability) -> bool {
    capability.fifo && capability.wakes
}

/// When a waiter asks again that has waited for `waited`, and may be overtaken whenever it does not ask.
pub(super) fn ask_again_in(waited: Duration) -> Duration {
    (waited / 64).max(ASK_AGAIN_MIN)
}

/// The locks that this client takes again and again, of a store that does not hand over.
#[derive(Default)]
pub(super) struct Streaks(Locked<HashMap<LockName, Streak>>);

/// Grants of one name to this client with no time for others in between.
struct Streak {
    /// Of the last grant.
    tag: u32,
    /// When the hold of the last grant ended; `None` while it lasts.
    released: Option<Moment>,
    since: Moment,
    max: Duration,
    round_trip: Duration,
    /// Whether this client has stood back since the last grant.
    stood_back: bool,
}

impl Streaks {
    /// How long a waiting claim has to stand back before it asks at `now`; `None` when it has.
    pub(super) fn stand_back(&self, name: &LockName, now: Moment) -> Option<Duration> {
        let mut by_name = self.0.lock();
        let streak = by_name.get_mut(name)?;
        let is_due = now.since(streak.since) >= streak.max.max(streak.round_trip * 16);
        let pause = if is_due { STAND_BACK_MIN.max(streak.round_trip * 3) } else { LEFT_ALONE };
        let left_for = streak.released.map_or(Duration::ZERO, |released| now.since(released));
        if left_for >= pause {
            (streak.since, streak.stood_back) = (now, streak.stood_back || is_due);
            return None;
        }
        is_due.then(|| pause - left_for)
    }

    /// Another client has the lock: it came in, or waits its turn as this one does.
    pub(super) fn refused(&self, name: &LockName, busy: &Busy) {
        if let Some(streak) = self.0.lock().get_mut(name)
            && busy.holder.as_ref().is_none_or(|holder| holder.tag != streak.tag)
        {
            (streak.max, streak.stood_back) = (STREAK_MIN, false);
        }
    }

    /// A claim that was sent at `sent` is granted.
    pub(super) fn granted(&self, claim: &Claim, sent: Moment, now: Moment) {
        if claim.mode != Mode::Exclusive {
            return;
        }
        let mut by_name = self.0.lock();
        if by_name.len() >= NAMES_MAX {
            by_name.clear();
        }
        let streak = by_name.entry(claim.name.clone()).or_insert_with(|| Streak {
            tag: 0,
            released: None,
            since: now,
            max: STREAK_MIN,
            round_trip: Duration::ZERO,
            stood_back: false,
        });
        if std::mem::take(&mut streak.stood_back) {
            // Nobody came.
            (streak.since, streak.max) = (now, (streak.max * 2).min(STREAK_MAX));
        }
        (streak.tag, streak.released, streak.round_trip) =
            (Contender::tag_of(claim.id), None, now.since(sent));
    }

    /// The hold of a claim ends at `now`.
    pub(super) fn released(&self, claim: &Claim, now: Moment) {
        if let Some(streak) = self.0.lock().get_mut(&claim.name)
            && streak.tag == Contender::tag_of(claim.id)
        {
            streak.released.get_or_insert(now);
        }
    }
}
