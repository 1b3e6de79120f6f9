//! The operation `claim`.

mod transition;
mod wait;

use std::future::ready;

use futures_util::future::join;
use leasehold_core::{
    Binding, Claim, Error, ErrorKind, Intent, LostReason, Moment, Outcome, Queueing, Result, Standing,
};
use zookeeper_client::{CreateMode, Error as ClientError, Stat};

use crate::{
    client::Client,
    dialect::{NodeKind, NodeName},
    error::{ServerError, unless_gone},
    format::{NodeData, Phase},
    lock_record::LockRecord,
    own_claims::{ClaimGuard, Node, NodeState},
    queue::{Decision, Queue, token_of},
    verbs::release,
    watcher,
};

/// The number of times that the queue is read again because members have gone meanwhile.
const ROUNDS_MAX: usize = 32;

/// One claim under way.
pub(crate) struct ClaimOp<'a> {
    pub(crate) lock: LockRecord<'a>,
    pub(crate) claim: &'a Claim,
    /// Before anything was sent.
    pub(crate) sent: Moment,
}

pub(crate) async fn claim(client: &Client, claim: &Claim) -> Result<Standing> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    if own.node == NodeState::Nowhere {
        // When this future is dropped, the background task deletes its node.
        client.own_claims.schedule(claim.id, client.env.now() + claim.ttl);
    }
    let standing = match client.lock(&claim.name).await {
        Ok(lock) => ClaimOp { lock, claim, sent: client.env.now() }.run(&mut own).await,
        Err(error) => Err(error),
    };
    if own.node == NodeState::Nowhere {
        client.own_claims.remove(claim.id, &mut own);
    }
    standing
}

impl ClaimOp<'_> {
    async fn run(&self, own: &mut ClaimGuard) -> Result<Standing> {
        for _ in 0..ROUNDS_MAX {
            if let Some(standing) = self.round(own).await? {
                return Ok(standing);
            }
        }
        Err(Error::new(ErrorKind::TimedOut, "the queue changes too fast to be read").unknown())
    }

    /// One attempt; `None` when it is to be repeated.
    async fn round(&self, own: &mut ClaimGuard) -> Result<Option<Standing>> {
        let is_amend = self.claim.intent == Intent::Amend;
        match own.node.clone() {
            NodeState::Nowhere if !is_amend => self.enter(own).await,
            NodeState::Nowhere | NodeState::InDoubt => {
                match self.find(!is_amend).await? {
                    Some(node) => self.keep(own, node),
                    None => own.node = NodeState::Nowhere,
                }
                let is_gone = is_amend && own.node == NodeState::Nowhere;
                Ok(is_gone.then_some(Standing::Gone(LostReason::Gone)))
            }
            NodeState::At(node) => match release::end_if_over(&self.lock, own, &node, self.sent).await? {
                Some(reason) => Ok(node.is_granted().then_some(Standing::Gone(reason))),
                None if node.is_granted() => self.amend(own, node).await.map(Some),
                None if is_amend => Ok(Some(Standing::Gone(LostReason::Gone))),
                None => self.ask_again(own, node).await,
            },
        }
    }

    /// Takes a place in the queue and reads the queue, in one round trip.
    async fn enter(&self, own: &mut ClaimGuard) -> Result<Option<Standing>> {
        let (client, live, claim) = (self.lock.client, &self.lock.live, self.claim);
        let stem = client.dialect.stem(claim.id);
        let content = NodeData::of(claim, Phase::Asking, self.expires());
        let mode = match claim.binding {
            Binding::Client => CreateMode::EphemeralSequential,
            Binding::Ttl => CreateMode::PersistentSequential,
        };
        let (path, data, options) = (self.lock.child(&stem), content.write(), mode.with_acls(live.acls));
        own.node = NodeState::InDoubt;
        let both = join(live.zk.create(&path, &data, &options), live.zk.list_children(&self.lock.path));
        let (created, children) = live.in_time(both).await.map_err(Error::unknown)?;
        let created = unless_gone(created.map_err(ServerError::writing)).inspect_err(|error| {
            if error.outcome() == Outcome::NotApplied {
                own.node = NodeState::Nowhere;
            }
        })?;
        let Some((stat, number)) = created else {
            own.node = NodeState::Nowhere;
            self.lock.make().await?;
            return Ok(None);
        };
        let number = number.to_string();
        let node = Node {
            name: NodeName {
                name: format!("{stem}{number}"),
                kind: NodeKind::Contender,
                number: number.parse().unwrap_or_default(),
                id: Some(claim.id),
            },
            has_delay_marker: false,
            owner: stat.ephemeral_owner,
            base: token_of(&stat),
            version: stat.version,
            data: content,
            fence: None,
            expires: self.sent + claim.ttl,
        };
        self.keep(own, node.clone());
        self.decide(own, node, children).await
    }

    /// Reads the queue again, and writes that it asks or that it still waits, in one round trip.
    async fn ask_again(&self, own: &mut ClaimGuard, mut node: Node) -> Result<Option<Standing>> {
        if let Some(busy) = self.repeated_answer(own, &node) {
            node.expires = node.expires.max(self.sent + self.claim.ttl);
            self.keep(own, node);
            return Ok(Some(Standing::Waiting(busy)));
        }
        own.answer = None;
        // A subscribed claim that was not woken still waits, most likely.
        let is_due = self.notifier().is_none_or(|it| it.take_woken()) || node.data.phase == Phase::Asking;
        self.set_data(&mut node, if is_due { Phase::Asking } else { Phase::Waiting });
        let (live, directory) = (&self.lock.live, &self.lock.path);
        let children = if is_due || node.data.expires {
            let data = node.data.write();
            let path = self.lock.child(&node.name.name);
            let set = live.zk.set_data(&path, &data, None);
            let both = join(set, live.zk.list_children(directory));
            let (set, children) = live.in_time(both).await.map_err(Error::unknown)?;
            let set = unless_gone(set.map_err(ServerError::writing))?;
            if !self.was_set(own, &mut node, set) {
                return Ok(None);
            }
            children
        } else {
            self.keep(own, node.clone());
            live.in_time(live.zk.list_children(directory)).await?
        };
        self.decide(own, node, children).await
    }

    /// Decides from the queue that was read together with the last write of the own node.
    async fn decide(
        &self,
        own: &mut ClaimGuard,
        node: Node,
        children: Result<Vec<String>, ClientError>,
    ) -> Result<Option<Standing>> {
        // Another program may have deleted the whole lock, or the node while it waited.
        let children = unless_gone(children.map_err(ServerError::reading))?.unwrap_or_default();
        let queue = Queue::of(self.lock.client.dialect, &children, Some(node.name.number));
        if let Err(unsafe_mix) = queue.refuse_blind() {
            self.give_up(own, &node).await?;
            return Err(unsafe_mix);
        }
        if self.has_older(&queue, &node).await? {
            self.give_up(own, &node).await?;
            own.node = NodeState::InDoubt;
            return Ok(None);
        }
        if !children.contains(&node.name.name) {
            own.node = NodeState::Nowhere;
            return Ok(None);
        }
        let decision = self.decision(&queue, node.name.number);
        match self.surely_waits_for(&queue, &node) {
            Some(target) => self.wait(own, node, target, decision).await,
            None => self.carry_out(own, node, decision.await?, &children).await,
        }
    }

    async fn carry_out(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        decision: Decision,
        children: &[String],
    ) -> Result<Option<Standing>> {
        match decision {
            Decision::Granted => {
                if !self.write_phase(own, &mut node, Phase::Asking).await? {
                    return Ok(None);
                }
                let raised = self.lock.raised_among(children).await?;
                self.grant(own, node, raised).await.map(Some)
            }
            Decision::Changed | Decision::Expired(_) => Ok(None),
            Decision::Mismatch(limit) => {
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            Decision::Blocked(blocker) if self.claim.queueing == Queueing::No => {
                if let Some(notifier) = self.notifier()
                    && !watcher::watch(&self.lock, &blocker.target, &notifier).await?
                {
                    return Ok(None);
                }
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Held(self.busy(blocker))))
            }
            Decision::Blocked(blocker) => {
                let target = blocker.target.clone();
                self.wait(own, node, target, ready(Ok(Decision::Blocked(blocker)))).await
            }
        }
    }

    /// Reads the members ahead of the place and decides; deletes those that have expired.
    async fn decision(&self, queue: &Queue, number: i32) -> Result<Decision> {
        let mode = self.claim.mode;
        let members = self.lock.members(&queue.to_read(mode, number)).await?;
        let decision = queue.decide(mode, number, &members);
        if let Decision::Expired(expired) = &decision {
            for (name, version) in expired {
                // A member that was extended meanwhile has another version, and stays.
                self.lock.live.delete(&self.lock.child(name), Some(*version)).await?;
            }
        }
        Ok(decision)
    }

    /// Whether the claim has an older node, after a lost reply or by another client, which counts instead of this one. Later
    /// ones are deleted.
    async fn has_older(&self, queue: &Queue, node: &Node) -> Result<bool> {
        for other in queue.members.iter().filter(|it| it.is_of(self.claim.id) && **it != node.name) {
            if other.number.wrapping_sub(node.name.number) < 0 {
                return Ok(true);
            }
            self.lock.live.delete(&self.lock.child(&other.name), None).await?;
        }
        Ok(false)
    }

    /// Leaves the queue.
    pub(crate) async fn give_up(&self, own: &mut ClaimGuard, node: &Node) -> Result<()> {
        own.node = NodeState::InDoubt;
        self.lock.remove(&node.name, node.has_delay_marker).await?;
        own.node = NodeState::Nowhere;
        Ok(())
    }

    /// Whether other clients delete the hold when it is not extended: its session may outlive it.
    fn expires(&self) -> bool {
        self.claim.binding == Binding::Ttl || self.claim.ttl < self.lock.live.timeout
    }

    /// Sets the content of the node to the claim's, valid at least as long as was promised before.
    pub(crate) fn set_data(&self, node: &mut Node, phase: Phase) {
        let (claim, fence) = (self.claim, node.data.fence);
        node.expires = node.expires.max(self.sent + claim.ttl);
        let expires = node.owner == 0 || claim.ttl < self.lock.live.timeout;
        node.data =
            NodeData { ttl: node.expires.since(self.sent), fence, ..NodeData::of(claim, phase, expires) };
    }

    /// Writes the phase of the claim into the node, unless it has that already; whether the node is still there.
    pub(crate) async fn write_phase(
        &self,
        own: &mut ClaimGuard,
        node: &mut Node,
        phase: Phase,
    ) -> Result<bool> {
        if node.data.phase == phase {
            return Ok(true);
        }
        self.set_data(node, phase);
        self.write(own, node).await
    }

    /// Writes the content of the node; whether the node is still there.
    pub(crate) async fn write(&self, own: &mut ClaimGuard, node: &mut Node) -> Result<bool> {
        let set = self.lock.live.set(&self.lock.child(&node.name.name), &node.data.write()).await?;
        Ok(self.was_set(own, node, set))
    }

    /// Records the answer to a write of the node; whether the node is still there.
    fn was_set(&self, own: &mut ClaimGuard, node: &mut Node, set: Option<Stat>) -> bool {
        match set {
            Some(stat) => {
                node.version = stat.version;
                self.keep(own, node.clone());
            }
            None => own.node = NodeState::Nowhere,
        }
        own.node != NodeState::Nowhere
    }

    /// Records the node of the claim, and schedules its end.
    pub(crate) fn keep(&self, own: &mut ClaimGuard, node: Node) {
        let client = self.lock.client;
        client.own_claims.schedule(self.claim.id, client.end_of(&node));
        own.node = NodeState::At(node);
    }
}
