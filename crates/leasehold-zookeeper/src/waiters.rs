//! The answer to a claim that has to wait, and its watch.

use std::{sync::Arc, time::Duration};

use futures_util::future::{join, join3};
use leasehold_core::{
    Busy, Mode, Queueing, Standing,
    store_kit::{Notifier, Topic},
};

use crate::{
    error::ServerError,
    format::{NodeData, Phase},
    own_claims::{ClaimGuard, Node, WaitAnswer},
    queue::{Blocker, Decision, Queue, WatchTarget},
    session::Watch,
    verbs::claim::op::ClaimOp,
    watcher,
};

/// The age up to which an answer is repeated that a wake-up would have changed.
const ANSWER_VALID_FOR: Duration = Duration::from_secs(1);
/// The shortest time after which a waiter asks again.
const RECHECK_MIN: Duration = Duration::from_millis(1);

impl ClaimOp<'_> {
    /// The last answer, if nothing has changed since: a waiter subscribes and asks again before it sleeps.
    pub(crate) fn repeated_answer(
        &self,
        own: &ClaimGuard,
        node: &Node,
        notifiers: &[Arc<Notifier<Watch>>],
    ) -> Option<Busy> {
        let answer = own.answer.as_ref()?;
        let listens = notifiers.iter().all(|it| Arc::ptr_eq(it, &answer.notifier)) && !notifiers.is_empty();
        let unchanged = NodeData {
            ttl: node.data.ttl,
            fence: node.data.fence,
            ..NodeData::of(self.claim, Phase::Waiting, false)
        };
        let is_fresh = self.sent.since(answer.at) < ANSWER_VALID_FOR;
        let is_silent = !answer.notifier.is_woken() && !answer.notifier.is_broken();
        (listens && is_silent && is_fresh && node.data == unchanged).then(|| answer.busy.clone())
    }

    /// The node whose end a waiting writer surely waits for, whatever the content of the nodes.
    pub(crate) fn surely_waits_for(&self, queue: &Queue, node: &Node) -> Option<String> {
        let waits = self.claim.mode == Mode::Exclusive && self.claim.queueing != Queueing::No;
        let last = queue.last_before(node.number).filter(|_| waits)?;
        Some(format!("{}/{}", self.client.paths.lock(&self.claim.name), last.name))
    }

    /// Writes the waiting phase, sets the watch and decides, in one round trip.
    pub(crate) async fn wait_for(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        queue: &Queue,
        last: String,
    ) -> Result<Option<Standing>, ServerError> {
        let (target, number) = (WatchTarget::Node { path: last, mode: None }, node.number);
        let notifiers = self.notifiers();
        let (written, watched, decision) = join3(
            self.write_waiting(own, &mut node),
            watcher::watch(self.client, self.live, &target, &notifiers),
            self.decision(queue, number),
        )
        .await;
        let is_current = written? && watched?;
        match decision? {
            Decision::Blocked(blocker) => Ok(is_current.then(|| self.waiting(own, blocker, &notifiers))),
            Decision::Mismatch(limit) => {
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            // A member has gone meanwhile.
            Decision::Granted | Decision::Changed | Decision::Expired(_) => Ok(None),
        }
    }

    /// Writes the waiting phase and sets the watch.
    pub(crate) async fn wait(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        blocker: Blocker,
    ) -> Result<Option<Standing>, ServerError> {
        let notifiers = self.notifiers();
        let (written, watched) = join(
            self.write_waiting(own, &mut node),
            watcher::watch(self.client, self.live, &blocker.target, &notifiers),
        )
        .await;
        Ok((written? && watched?).then(|| self.waiting(own, blocker, &notifiers)))
    }

    async fn write_waiting(&self, own: &mut ClaimGuard, node: &mut Node) -> Result<bool, ServerError> {
        if node.data.phase == Phase::Waiting {
            Ok(true)
        } else {
            self.write_phase(own, node, Phase::Waiting).await
        }
    }

    /// The notifiers of this claim; without a subscription one that the next subscription takes over.
    fn notifiers(&self) -> Vec<Arc<Notifier<Watch>>> {
        let notifiers = self.client.session.waiters.of(&Topic::Claim(self.claim.id));
        if notifiers.is_empty() { vec![Arc::default()] } else { notifiers }
    }

    fn waiting(
        &self,
        own: &mut ClaimGuard,
        blocker: Blocker,
        notifiers: &[Arc<Notifier<Watch>>],
    ) -> Standing {
        let busy = self.busy(blocker);
        let is_subscribed = self.client.session.waiters.has(&Topic::Claim(self.claim.id));
        own.answer = notifiers.first().map(|notifier| WaitAnswer {
            notifier: notifier.clone(),
            is_subscribed,
            busy: busy.clone(),
            at: self.sent,
        });
        Standing::Waiting(busy)
    }

    pub(crate) fn busy(&self, blocker: Blocker) -> Busy {
        let ttl = self.claim.ttl / 3;
        Busy {
            holder: blocker.holder,
            ahead: (self.claim.queueing != Queueing::No).then_some(blocker.ahead),
            recheck_in: blocker.left.map_or(ttl, |left| left.min(ttl)).max(RECHECK_MIN),
        }
    }
}
