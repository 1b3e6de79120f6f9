//! [`OwnClaims`]: this client's claims, their nodes and the times at which these end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{
    Busy, ClaimId, FencingToken, LockName, Moment,
    store_kit::{Locked, Notifier},
};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

use crate::{
    dialect::NodeName,
    format::NodeData,
    queue::{Member, token_of},
    txn::LiveSession,
    waiters::Watch,
};

/// The node of a claim.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) has_delay_marker: bool,
    /// The session that it ends with; 0 when it outlives every session.
    pub(crate) owner: i64,
    /// The token of its place: the id of the transaction that created the place.
    pub(crate) base: u64,
    /// The version of its content as we wrote it last.
    pub(crate) version: i32,
    /// Its content as we wrote it last.
    pub(crate) data: NodeData,
    /// The token, once it was granted.
    pub(crate) fence: Option<FencingToken>,
    /// Its end unless it is extended.
    pub(crate) expires: Moment,
}

impl Node {
    /// The node that was read at `sent`, not granted yet; `None` when another library wrote it.
    pub(crate) fn of(member: &Member, sent: Moment) -> Option<Node> {
        let data = member.data.clone();
        (!member.is_foreign).then(|| Node {
            name: member.name.clone(),
            has_delay_marker: false,
            owner: member.stat.ephemeral_owner,
            base: data.fence.map_or_else(|| token_of(&member.stat), FencingToken::get),
            version: member.stat.version,
            expires: sent + data.ttl,
            data,
            fence: None,
        })
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.fence.is_some()
    }

    /// Whether it belongs to another session, and so has ended or is about to.
    pub(crate) fn is_of_other_session(&self, live: &LiveSession) -> bool {
        self.owner != 0 && self.owner != live.id
    }

    /// Its validity from `sent` on.
    pub(crate) fn valid_for(&self, live: &LiveSession, sent: Moment) -> Duration {
        let left = self.expires.since(sent);
        if self.owner == 0 { left } else { left.min(live.timeout) }
    }
}

/// The knowledge about a claim's node.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum NodeState {
    /// It has no node.
    Nowhere,
    /// A request is under way, or was lost: it may have a node.
    InDoubt,
    /// It has this node.
    At(Node),
}

/// The last answer to a claim that waits, and the notifier of its change.
#[derive(Debug)]
pub(crate) struct WaitAnswer {
    pub(crate) notifier: Arc<Notifier<Watch>>,
    pub(crate) busy: Busy,
    pub(crate) at: Moment,
}

/// One claim.
#[derive(Debug)]
pub(crate) struct OwnClaim {
    pub(crate) lock: LockName,
    pub(crate) node: NodeState,
    pub(crate) answer: Option<WaitAnswer>,
    /// Whether it was removed from the table: then it is to be looked up again.
    is_removed: bool,
}

/// The exclusive right to act for a claim.
pub(crate) type ClaimGuard = OwnedMutexGuard<OwnClaim>;

/// All claims of one client.
#[derive(Default, Debug)]
pub(crate) struct OwnClaims {
    table: Locked<Table>,
    pub(crate) changed: Notify,
}

#[derive(Default, Debug)]
struct Table {
    claims: HashMap<ClaimId, Entry>,
    /// The end of the background task's sleep. It may lie before the first timer, never after: so a client that locks and
    /// unlocks in a loop does not wake the task each time.
    asleep_until: Option<Moment>,
}

#[derive(Debug)]
struct Entry {
    own: Arc<AsyncMutex<OwnClaim>>,
    /// The time at which the background task looks at it.
    timer: Option<Moment>,
}

impl OwnClaims {
    /// Waits for the right to act for a claim.
    pub(crate) async fn enter(&self, id: ClaimId, lock: &LockName) -> ClaimGuard {
        let fresh = || {
            let own =
                OwnClaim { lock: lock.clone(), node: NodeState::Nowhere, answer: None, is_removed: false };
            Entry { own: Arc::new(AsyncMutex::new(own)), timer: None }
        };
        loop {
            let own = self.table.lock().claims.entry(id).or_insert_with(fresh).own.clone();
            let own = own.lock_owned().await;
            if !own.is_removed {
                return own;
            }
        }
    }

    /// The same for a claim that is known already.
    pub(crate) async fn known(&self, id: ClaimId) -> Option<ClaimGuard> {
        let own = self.table.lock().claims.get(&id)?.own.clone();
        Some(own.lock_owned().await).filter(|own| !own.is_removed)
    }

    /// Removes a claim that has no node any more.
    pub(crate) fn remove(&self, id: ClaimId, own: &mut ClaimGuard) {
        own.is_removed = true;
        self.table.lock().claims.remove(&id);
    }

    /// Sets the only timer of a claim.
    pub(crate) fn schedule(&self, id: ClaimId, at: Moment) {
        let mut table = self.table.lock();
        table.claims.entry(id).and_modify(|entry| entry.timer = Some(at));
        if table.asleep_until.is_none_or(|until| at < until) {
            self.changed.notify_one();
        }
    }

    /// The time of the next timer, for a task that sleeps until then: no later timer wakes it.
    pub(crate) fn sleep_until(&self) -> Option<Moment> {
        let mut table = self.table.lock();
        table.asleep_until = table.claims.values().filter_map(|entry| entry.timer).min();
        table.asleep_until
    }

    /// The claims whose timer has expired; it is unset.
    pub(crate) fn due(&self, now: Moment) -> Vec<ClaimId> {
        let mut table = self.table.lock();
        let due = |(id, entry): (&ClaimId, &mut Entry)| entry.timer.take_if(|at| *at <= now).map(|_| *id);
        table.claims.iter_mut().filter_map(due).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_claim_has_one_timer_and_none_when_it_is_removed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (own_claims, id, lock) =
                (OwnClaims::default(), ClaimId::from_bits(1), LockName::new("a").unwrap());
            let mut own = own_claims.enter(id, &lock).await;
            for at in [30, 10, 20] {
                own_claims.schedule(id, Moment::from_nanos(at));
            }
            assert_eq!(own_claims.due(Moment::from_nanos(19)), []);
            assert_eq!(own_claims.sleep_until(), Some(Moment::from_nanos(20)));
            own_claims.remove(id, &mut own);
            assert_eq!(own_claims.sleep_until(), None);
            drop(own);
            assert!(own_claims.known(id).await.is_none());
            assert!(own_claims.table.lock().claims.is_empty());
        });
    }

    #[test]
    fn the_task_is_woken_by_timers_before_its_own_wake_up_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (own_claims, id, lock) =
                (OwnClaims::default(), ClaimId::from_bits(1), LockName::new("a").unwrap());
            let is_woken = || own_claims.changed.notified().now_or_never().is_some();
            let mut own = own_claims.enter(id, &lock).await;
            own_claims.schedule(id, Moment::from_nanos(20));
            assert!(is_woken(), "nobody was to be looked after before");
            assert_eq!(own_claims.sleep_until(), Some(Moment::from_nanos(20)));
            own_claims.schedule(id, Moment::from_nanos(30));
            own_claims.schedule(id, Moment::from_nanos(25));
            assert!(!is_woken(), "it wakes before that");
            own_claims.schedule(id, Moment::from_nanos(10));
            assert!(is_woken(), "it would oversleep");
            own_claims.remove(id, &mut own);
            assert_eq!(own_claims.sleep_until(), None);
            let _own = own_claims.enter(id, &lock).await;
            own_claims.schedule(id, Moment::from_nanos(40));
            assert!(is_woken(), "it slept without an end");
        });
    }
}
