//! The answer to a claim that has to wait, and its watch.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::join3;
use leasehold_core::{
    Busy, Mode, Queueing, Result, Standing,
    store_kit::{Notifier, Topic},
};

use super::ClaimOp;
use crate::{
    format::{NodeData, Phase},
    own_claims::{ClaimGuard, Node, WaitAnswer},
    queue::{Blocker, Decision, Queue, WatchTarget},
    waiters::Watch,
    watcher,
};

/// The age up to which an answer is repeated that a wake-up would have changed.
const ANSWER_VALID_FOR: Duration = Duration::from_secs(1);
/// The shortest time after which a waiter asks again.
const RECHECK_MIN: Duration = Duration::from_millis(1);

impl ClaimOp<'_> {
    /// The last answer, if nothing has changed since: a waiter subscribes and asks again before it sleeps.
    pub(super) fn repeated_answer(&self, own: &ClaimGuard, node: &Node) -> Option<Busy> {
        let WaitAnswer { notifier, busy, at } = own.answer.as_ref()?;
        let listens = self.notifier().is_some_and(|it| Arc::ptr_eq(&it, notifier));
        let unchanged = NodeData {
            ttl: node.data.ttl,
            fence: node.data.fence,
            ..NodeData::of(self.claim, Phase::Waiting, false)
        };
        let is_fresh = self.sent.since(*at) < ANSWER_VALID_FOR.min(busy.recheck_in);
        let is_silent = !notifier.is_woken() && !notifier.is_broken();
        (listens && is_silent && is_fresh && node.data == unchanged).then(|| busy.clone())
    }

    /// The node whose end a waiting writer surely waits for, whatever the content of the nodes.
    pub(super) fn surely_waits_for(&self, queue: &Queue, node: &Node) -> Option<WatchTarget> {
        let waits = self.claim.mode == Mode::Exclusive && self.claim.queueing != Queueing::No;
        let last = queue.ahead(node.name.number).last().filter(|_| waits)?;
        Some(WatchTarget::Node { name: last.name.clone(), mode: None })
    }

    /// Writes the waiting phase and sets the watch, in one round trip with the decision if that is not known yet.
    pub(super) async fn wait(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        target: WatchTarget,
        decision: impl Future<Output = Result<Decision>>,
    ) -> Result<Option<Standing>> {
        // Without a subscription one that the next subscription takes over.
        let notifier = self.notifier().unwrap_or_default();
        let (written, watched, decision) = join3(
            self.write_phase(own, &mut node, Phase::Waiting),
            watcher::watch(&self.lock, &target, &notifier),
            decision,
        )
        .await;
        let is_current = written? && watched?;
        match decision? {
            Decision::Blocked(blocker) if is_current => {
                let busy = self.busy(blocker);
                own.answer = Some(WaitAnswer { notifier, busy: busy.clone(), at: self.sent });
                Ok(Some(Standing::Waiting(busy)))
            }
            Decision::Mismatch(limit) => {
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            // Something has changed meanwhile.
            _ => Ok(None),
        }
    }

    /// The notifier of the claim's subscription, if there is one.
    pub(super) fn notifier(&self) -> Option<Arc<Notifier<Watch>>> {
        self.lock.client.session.waiters.of(&Topic::Claim(self.claim.id)).pop()
    }

    pub(super) fn busy(&self, blocker: Blocker) -> Busy {
        let ttl = self.claim.ttl / 3;
        Busy {
            holder: blocker.holder,
            ahead: (self.claim.queueing != Queueing::No).then_some(blocker.ahead),
            recheck_in: blocker.left.map_or(ttl, |left| left.min(ttl)).max(RECHECK_MIN),
        }
    }
}
