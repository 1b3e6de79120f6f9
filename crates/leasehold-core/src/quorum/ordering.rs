//! [`ClaimOrder`]: the requests of one claim, in order at each member.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};

use crate::{ClaimId, FencingToken, claim::ClaimIdHasher, store_kit::Locked};

/// The order of the requests of one claim at each member: a release never overtakes the request that it undoes, so a
/// late request leaves no key behind.
#[derive(Debug)]
pub(super) struct ClaimOrder {
    turns: Vec<AsyncMutex<()>>,
    proposal: Locked<Option<FencingToken>>,
    round: AtomicU64,
    ended: AtomicBool,
    /// Members at which a release of the claim was not answered, and may still arrive.
    doubts: Vec<AtomicBool>,
    id: ClaimId,
    orders: Arc<ClaimOrders>,
}

impl ClaimOrder {
    /// The permission to ask a member, in the order of the first polls.
    pub(super) async fn turn(&self, member: usize) -> AsyncMutexGuard<'_, ()> {
        self.turns[member].lock().await
    }

    /// Begins another round of the claim at all members. Holds of earlier rounds belong to this one from now on: a
    /// repeated release must not end a grant of this round.
    pub(super) fn begin_round(&self) -> u64 {
        self.round.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The round that was begun last.
    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// Marks the claim as released: no hold is made for it any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// The proposed token of the claim: concurrent repeats propose the same one, or each would be granted another.
    pub(super) fn propose(&self, proposal: Option<FencingToken>) -> Option<FencingToken> {
        let mut kept = self.proposal.lock();
        *kept = kept.or(proposal);
        *kept
    }

    /// Drops the proposal after a failed attempt that used it.
    pub(super) fn propose_anew(&self) {
        *self.proposal.lock() = None;
    }

    /// Marks a release without an answer: if it arrives after another grant there, it ends that hold. Answers of the
    /// member about this claim do not count any more.
    pub(super) fn doubt(&self, member: usize) {
        self.doubts[member].store(true, Ordering::Release);
    }

    pub(super) fn is_in_doubt_at(&self, member: usize) -> bool {
        self.doubts[member].load(Ordering::Acquire)
    }

    /// The number of members in doubt.
    pub(super) fn doubts(&self) -> usize {
        (0..self.doubts.len()).filter(|&member| self.is_in_doubt_at(member)).count()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Removes it from the orders of its client, unless a later request of the claim has begun another one.
impl Drop for ClaimOrder {
    fn drop(&mut self) {
        let mut open = self.orders.open.lock();
        if open.get(&self.id).is_some_and(|order| order.strong_count() == 0) {
            open.remove(&self.id);
        }
    }
}

/// The orders of all claims with requests under way.
#[derive(Debug)]
pub(super) struct ClaimOrders {
    members: usize,
    open: Locked<HashMap<ClaimId, Weak<ClaimOrder>, BuildHasherDefault<ClaimIdHasher>>>,
}

impl ClaimOrders {
    pub(super) fn new(members: usize) -> Arc<ClaimOrders> {
        Arc::new(ClaimOrders { members, open: Locked::default() })
    }

    /// The order of a claim.
    pub(super) fn of(self: &Arc<Self>, id: ClaimId) -> Arc<ClaimOrder> {
        let mut open = self.open.lock();
        if let Some(order) = open.get(&id).and_then(Weak::upgrade) {
            return order;
        }
        let order = Arc::new(ClaimOrder {
            turns: (0..self.members).map(|_| AsyncMutex::new(())).collect(),
            proposal: Locked::default(),
            round: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            doubts: (0..self.members).map(|_| AtomicBool::new(false)).collect(),
            id,
            orders: self.clone(),
        });
        open.insert(id, Arc::downgrade(&order));
        order
    }
}
