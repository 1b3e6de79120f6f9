//! A claim that is kept out: what it says, listens to, and is answered.

use std::{sync::Arc, time::Duration};

use futures_util::future::{join, join3};
use leasehold_core::{Busy, Mode, Queueing, Standing};

use crate::{
    decision::{Blocker, Decision, WatchTarget, judge},
    error::ServerError,
    format::{NodeData, Stance},
    own_claims::{Node, PendingAnswer, Turn},
    queue::Queue,
    verbs::claim::ClaimOp,
    waiters::Notifier,
    watcher,
};

/// For how long an answer is believed that a bell would have changed.
const HEARD_FOR: Duration = Duration::from_secs(1);
/// A waiter comes back at most so often.
const RECHECK_MIN: Duration = Duration::from_millis(1);

impl ClaimOp<'_> {
    /// The answer of a moment ago, when nothing has rung since: a waiter subscribes and asks again before it sleeps.
    pub(crate) fn is_still_so(&self, turn: &Turn, node: &Node, bells: &[Arc<Notifier>]) -> Option<Busy> {
        let heard = turn.heard.as_ref()?;
        let listens = bells.iter().all(|bell| Arc::ptr_eq(bell, &heard.bell)) && !bells.is_empty();
        let says_the_same = NodeData {
            ttl: node.slip.ttl,
            fence: node.slip.fence,
            ..NodeData::of(self.claim, Stance::Waiting, false)
        };
        let is_fresh = self.sent.since(heard.at) < HEARD_FOR;
        (listens && heard.bell.is_silent() && is_fresh && node.slip == says_the_same)
            .then(|| heard.busy.clone())
    }

    /// The one that a writer who waits has to see go, whatever is in the nodes.
    pub(crate) fn surely_waits_for(&self, queue: &Queue, node: &Node) -> Option<String> {
        let waits = self.claim.mode == Mode::Exclusive && self.claim.queueing != Queueing::No;
        let last = queue.before(node.number).pop().filter(|_| waits)?;
        Some(format!("{}/{}", self.shared.paths.lock(&self.claim.name), last.name))
    }

    /// Says that it waits, listens for its turn, and looks at who is in the way, in one round trip.
    pub(crate) async fn wait_for(
        &self,
        turn: &mut Turn,
        mut node: Node,
        queue: &Queue,
        last: String,
    ) -> Result<Option<Standing>, ServerError> {
        let (sight, number) = (WatchTarget::Node { path: last, mode: None }, node.number);
        let is_new = node.slip.stance != Stance::Waiting;
        let bells = self.bells();
        let (says, listens, judged) = join3(
            async {
                if is_new { self.write_phase(turn, &mut node, Stance::Waiting).await } else { Ok(true) }
            },
            self.listen(&sight, &bells),
            judge(self.shared, self.live, self.claim, queue, number),
        )
        .await;
        let still_so = says? && listens?;
        match judged? {
            Decision::Blocked(block) => Ok(still_so.then(|| self.waiting(turn, block, &bells))),
            Decision::Mismatch(limit) => {
                self.give_up(turn, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            // Somebody went meanwhile.
            Decision::Granted | Decision::Changed => Ok(None),
        }
    }

    /// Says that it waits, and listens for its turn.
    pub(crate) async fn wait(
        &self,
        turn: &mut Turn,
        mut node: Node,
        block: Blocker,
    ) -> Result<Option<Standing>, ServerError> {
        let is_new = node.slip.stance != Stance::Waiting;
        let bells = self.bells();
        let (says, listens) = join(
            async {
                if is_new { self.write_phase(turn, &mut node, Stance::Waiting).await } else { Ok(true) }
            },
            self.listen(&block.sight, &bells),
        )
        .await;
        Ok((says? && listens?).then(|| self.waiting(turn, block, &bells)))
    }

    /// Those who listen for this claim; where nobody does yet, one for whoever will.
    fn bells(&self) -> Vec<Arc<Notifier>> {
        let bells = self.shared.link.bells.of(self.claim.id);
        if bells.is_empty() { vec![Arc::default()] } else { bells }
    }

    /// The answer to one that waits, which is kept for a moment.
    fn waiting(&self, turn: &mut Turn, block: Blocker, bells: &[Arc<Notifier>]) -> Standing {
        let busy = self.busy(block);
        let is_hung = !self.shared.link.bells.of(self.claim.id).is_empty();
        let heard = |bell: &Arc<Notifier>| PendingAnswer {
            bell: bell.clone(),
            is_hung,
            busy: busy.clone(),
            at: self.sent,
        };
        turn.heard = bells.first().map(heard);
        Standing::Waiting(busy)
    }

    /// Has whoever listens for this claim rung for; whether what blocks it is still there.
    pub(crate) async fn listen(
        &self,
        sight: &WatchTarget,
        bells: &[Arc<Notifier>],
    ) -> Result<bool, ServerError> {
        watcher::arm(self.shared, self.live, sight, bells).await
    }

    pub(crate) fn busy(&self, block: Blocker) -> Busy {
        let ttl = self.claim.ttl / 3;
        Busy {
            holder: block.holder,
            ahead: (self.claim.queueing != Queueing::No).then_some(block.ahead),
            recheck_in: block.left.map_or(ttl, |left| left.min(ttl)).max(RECHECK_MIN),
        }
    }
}
