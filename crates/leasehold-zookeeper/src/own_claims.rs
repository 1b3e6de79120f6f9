//! [`OwnClaims`]: what this client knows of its own claims, and when each ends.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use leasehold_core::{Busy, ClaimId, FencingToken, LockName, Moment};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

use crate::{format::NodeData, waiters::Notifier};

/// The node of a claim.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    /// Its whole path.
    pub(crate) path: String,
    /// The path of its delay_marker, if it has one.
    pub(crate) delay_marker: Option<String>,
    /// Its place in the queue.
    pub(crate) number: i32,
    /// The session that it ends with; 0 when it outlives every session.
    pub(crate) owner: i64,
    /// The token that its place gives: the number of the transaction that made the place.
    pub(crate) base: u64,
    /// The version of its content as we wrote it last.
    pub(crate) version: i32,
    /// Its content as we wrote it last.
    pub(crate) slip: NodeData,
    /// The token, once it was granted.
    pub(crate) fence: Option<FencingToken>,
    /// When it ends, if it is not prolonged.
    pub(crate) expires: Moment,
}

impl Node {
    pub(crate) fn is_granted(&self) -> bool {
        self.fence.is_some()
    }

    /// Its name, without the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Where a claim stands, as far as we know.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum NodeState {
    /// It has no node.
    Nowhere,
    /// A request is under way, or was lost: it may have a node.
    Doubt,
    /// It has this node.
    At(Node),
}

/// What a claim was answered that waits, and the bell that rings when it changes.
#[derive(Clone, Debug)]
pub(crate) struct PendingAnswer {
    pub(crate) bell: Arc<Notifier>,
    /// Whether somebody listens to it.
    pub(crate) is_hung: bool,
    pub(crate) busy: Busy,
    pub(crate) at: Moment,
}

/// One claim.
#[derive(Debug)]
pub(crate) struct OwnClaim {
    pub(crate) lock: LockName,
    pub(crate) place: NodeState,
    pub(crate) heard: Option<PendingAnswer>,
    /// Whether the registry has forgotten it: then it is to be looked up anew.
    is_forgotten: bool,
    /// When it is looked after.
    alarm: Option<Moment>,
}

/// The right to act for a claim; one at a time has it.
pub(crate) type Turn = OwnedMutexGuard<OwnClaim>;

/// All claims of one client.
#[derive(Default, Debug)]
pub(crate) struct OwnClaims {
    stands: Mutex<HashMap<ClaimId, Arc<AsyncMutex<OwnClaim>>>>,
    alarms: Mutex<Timers>,
    pub(crate) changed: Notify,
}

/// When which claim is looked after.
#[derive(Default, Debug)]
struct Timers {
    by_time: BTreeSet<(Moment, ClaimId)>,
    /// The moment that the janitor sleeps until. It may lie before the first alarm, never after: so a client that locks and
    /// unlocks in a loop does not wake its janitor each time.
    asleep_until: Option<Moment>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OwnClaims {
    /// Waits for the right to act for a claim.
    pub(crate) async fn turn(&self, id: ClaimId, lock: &LockName) -> Turn {
        loop {
            let stand = {
                let mut stands = locked(&self.stands);
                let fresh = || OwnClaim {
                    lock: lock.clone(),
                    place: NodeState::Nowhere,
                    heard: None,
                    is_forgotten: false,
                    alarm: None,
                };
                stands.entry(id).or_insert_with(|| Arc::new(AsyncMutex::new(fresh()))).clone()
            };
            let turn = stand.lock_owned().await;
            if !turn.is_forgotten {
                return turn;
            }
        }
    }

    /// The claim, if it is known.
    pub(crate) async fn known(&self, id: ClaimId) -> Option<Turn> {
        let stand = locked(&self.stands).get(&id).cloned()?;
        let turn = stand.lock_owned().await;
        (!turn.is_forgotten).then_some(turn)
    }

    /// There is nothing to be known of it any more.
    pub(crate) fn forget(&self, id: ClaimId, turn: &mut Turn) {
        turn.place = NodeState::Nowhere;
        turn.heard = None;
        turn.is_forgotten = true;
        if let Some(alarm) = turn.alarm.take() {
            locked(&self.alarms).by_time.remove(&(alarm, id));
        }
        locked(&self.stands).remove(&id);
    }

    /// Has the claim looked after at that moment, and not when it was said before.
    pub(crate) fn schedule(&self, id: ClaimId, turn: &mut Turn, at: Moment) {
        let mut alarms = locked(&self.alarms);
        if let Some(before) = turn.alarm.replace(at) {
            alarms.by_time.remove(&(before, id));
        }
        alarms.by_time.insert((at, id));
        if alarms.asleep_until.is_none_or(|until| at < until) {
            self.changed.notify_one();
        }
    }

    /// The next moment at which somebody is to be looked after. Remembered: whatever is scheduled for later wakes nobody.
    pub(crate) fn sleep_until(&self) -> Option<Moment> {
        let mut alarms = locked(&self.alarms);
        alarms.asleep_until = alarms.by_time.first().map(|(at, _)| *at);
        alarms.asleep_until
    }

    /// Those whose moment has come.
    pub(crate) fn due(&self, now: Moment) -> Vec<ClaimId> {
        let mut alarms = locked(&self.alarms);
        let mut due = Vec::new();
        while let Some((at, id)) = alarms.by_time.first().copied().filter(|(at, _)| *at <= now) {
            alarms.by_time.remove(&(at, id));
            due.push(id);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_claim_has_one_alarm_and_none_when_it_is_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (registry, id, lock) =
                (OwnClaims::default(), ClaimId::from_bits(1), LockName::new("a").unwrap());
            let mut turn = registry.turn(id, &lock).await;
            for at in [30, 10, 20] {
                registry.schedule(id, &mut turn, Moment::from_nanos(at));
            }
            assert_eq!(registry.due(Moment::from_nanos(19)), []);
            assert_eq!(registry.sleep_until(), Some(Moment::from_nanos(20)));
            registry.forget(id, &mut turn);
            assert_eq!(registry.sleep_until(), None);
            drop(turn);
            assert!(registry.known(id).await.is_none());
            assert!(locked(&registry.stands).is_empty());
        });
    }

    #[test]
    fn the_janitor_is_woken_for_what_comes_before_it_wakes_and_for_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (registry, id, lock) =
                (OwnClaims::default(), ClaimId::from_bits(1), LockName::new("a").unwrap());
            let is_woken = || registry.changed.notified().now_or_never().is_some();
            let mut turn = registry.turn(id, &lock).await;
            registry.schedule(id, &mut turn, Moment::from_nanos(20));
            assert!(is_woken(), "nobody was to be looked after before");
            assert_eq!(registry.sleep_until(), Some(Moment::from_nanos(20)));
            registry.schedule(id, &mut turn, Moment::from_nanos(30));
            registry.schedule(id, &mut turn, Moment::from_nanos(25));
            assert!(!is_woken(), "it wakes before that");
            registry.schedule(id, &mut turn, Moment::from_nanos(10));
            assert!(is_woken(), "it would oversleep");
            registry.forget(id, &mut turn);
            assert_eq!(registry.sleep_until(), None);
            let mut turn = registry.turn(id, &lock).await;
            registry.schedule(id, &mut turn, Moment::from_nanos(40));
            assert!(is_woken(), "it slept without an end");
        });
    }
}
