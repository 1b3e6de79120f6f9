//! [`ClaimOrder`]: one ordered way to each member for what is asked of one claim.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};

use crate::{ClaimId, FencingToken};

/// What is asked of one claim reaches each member in the order in which it was asked: a release never overtakes the
/// request that it undoes, so no key is left over by a straggler.
#[derive(Debug)]
pub(super) struct ClaimOrder {
    turns: Vec<AsyncMutex<()>>,
    proposal: Mutex<Option<FencingToken>>,
    round: AtomicU64,
    ended: AtomicBool,
    /// Members at which a release of the claim was not answered, and may still arrive.
    doubts: Vec<AtomicBool>,
}

impl ClaimOrder {
    /// The right to ask a member; in the order of the first polls.
    pub(super) async fn turn(&self, member: usize) -> AsyncMutexGuard<'_, ()> {
        self.turns[member].lock().await
    }

    /// All members are about to be asked for the claim once more. What was to be given back of earlier rounds belongs to
    /// this one from now on: a release that is tried again must not hit what this round is granted.
    pub(super) fn begin_round(&self) -> u64 {
        self.round.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The round that was begun last.
    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// The claim is being released: nothing is made for it any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// The token that is proposed for the claim: repeats that meet propose the same, or each would be granted another.
    pub(super) fn propose(&self, proposal: Option<FencingToken>) -> Option<FencingToken> {
        let mut kept = self.proposal.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.or(proposal);
        *kept
    }

    /// What was proposed has been used up by a try that failed.
    pub(super) fn propose_anew(&self) {
        *self.proposal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A release was sent to a member and not answered: should it arrive after the claim was granted there once more, it
    /// would end that hold. What the member says of the claim counts no more.
    pub(super) fn doubt(&self, member: usize) {
        self.doubts[member].store(true, Ordering::Release);
    }

    pub(super) fn is_in_doubt_at(&self, member: usize) -> bool {
        self.doubts[member].load(Ordering::Acquire)
    }

    /// At how many members.
    pub(super) fn doubts(&self) -> usize {
        (0..self.doubts.len()).filter(|&member| self.is_in_doubt_at(member)).count()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// The orders of all claims of which something is under way.
#[derive(Debug)]
pub(super) struct ClaimOrders {
    members: usize,
    open: Mutex<HashMap<ClaimId, Arc<ClaimOrder>>>,
}

/// A path in use; it is forgotten with its last user.
#[derive(Clone, Debug)]
pub(super) struct OrderHandle {
    orders: Arc<ClaimOrders>,
    id: ClaimId,
    path: Option<Arc<ClaimOrder>>,
}

impl ClaimOrders {
    pub(super) fn new(members: usize) -> Arc<ClaimOrders> {
        Arc::new(ClaimOrders { members, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<ClaimId, Arc<ClaimOrder>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of a claim.
    pub(super) fn of(self: &Arc<Self>, id: ClaimId) -> OrderHandle {
        let mut open = self.open();
        let path = open.entry(id).or_insert_with(|| {
            let turns = (0..self.members).map(|_| AsyncMutex::new(())).collect();
            Arc::new(ClaimOrder {
                turns,
                proposal: Mutex::default(),
                round: AtomicU64::new(0),
                ended: AtomicBool::new(false),
                doubts: (0..self.members).map(|_| AtomicBool::new(false)).collect(),
            })
        });
        OrderHandle { orders: self.clone(), id, path: Some(path.clone()) }
    }
}

impl std::ops::Deref for OrderHandle {
    type Target = ClaimOrder;

    fn deref(&self) -> &ClaimOrder {
        self.path.as_ref().expect("it is taken out by drop alone")
    }
}

impl Drop for OrderHandle {
    fn drop(&mut self) {
        let mut open = self.orders.open();
        drop(self.path.take());
        // The map has the last one: nobody can get another while it is locked.
        if open.get(&self.id).is_some_and(|path| Arc::strong_count(path) == 1) {
            open.remove(&self.id);
        }
    }
}
