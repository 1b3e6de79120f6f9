//! The operation `claim`.

pub(crate) mod op;
mod transition;

use futures_util::future::join;
use leasehold_core::{
    Binding, Claim, Error, ErrorKind, Intent, LostReason, Outcome, Queueing, Result, Standing,
    store_kit::Topic,
};
use zookeeper_client::{CreateMode, Error as ClientError};

use self::op::ClaimOp;
use crate::{
    client::Client,
    error::{Effect, ServerError},
    fencing_token,
    format::{NodeData, Phase},
    in_doubt,
    own_claims::{ClaimGuard, Node, NodeState},
    queue::{Decision, Queue, token_of},
    verbs::release,
    watcher,
};

/// The number of times that the queue is read again because members have gone meanwhile.
const ROUNDS_MAX: usize = 32;

/// # Errors
/// See [`Store::claim`](leasehold_core::Store::claim).
pub(crate) async fn claim(client: &Client, claim: &Claim) -> Result<Standing> {
    let mut own = client.own_claims.enter(claim.id, &claim.name).await;
    if own.node == NodeState::Nowhere {
        // When this future is dropped, the background task deletes its node.
        client.own_claims.schedule(claim.id, &mut own, client.env.now() + claim.ttl);
    }
    let standing = match client.session.ready().await {
        Ok(live) => {
            let op = ClaimOp { client, live: &live, claim, sent: client.env.now() };
            op.run(&mut own).await.map_err(ServerError::into_error)
        }
        Err(error) => Err(error),
    };
    if own.node == NodeState::Nowhere {
        client.own_claims.remove(claim.id, &mut own);
    }
    standing
}

impl ClaimOp<'_> {
    async fn run(&self, own: &mut ClaimGuard) -> Result<Standing, ServerError> {
        for _ in 0..ROUNDS_MAX {
            if let Some(standing) = self.round(own).await? {
                return Ok(standing);
            }
        }
        let error = Error::new(ErrorKind::TimedOut, "the queue changes too fast to be read");
        Err(error.unknown().into())
    }

    /// One attempt; `None` when it is to be repeated.
    async fn round(&self, own: &mut ClaimGuard) -> Result<Option<Standing>, ServerError> {
        let is_amend = self.claim.intent == Intent::Amend;
        match own.node.clone() {
            NodeState::Nowhere if !is_amend => self.enter(own).await,
            NodeState::Nowhere | NodeState::InDoubt => {
                match in_doubt::find(self.client, self.live, self.claim, self.sent).await? {
                    Some(node) => self.client.keep(self.claim.id, own, node),
                    None => own.node = NodeState::Nowhere,
                }
                let is_gone = is_amend && own.node == NodeState::Nowhere;
                Ok(is_gone.then_some(Standing::Gone(LostReason::Gone)))
            }
            NodeState::At(node) if node.is_of_other_session(self.live) => {
                own.node = NodeState::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::SessionEnded)))
            }
            NodeState::At(node) if self.client.end_of(&node) <= self.sent => {
                release::expire(self.client, self.live, &node).await?;
                own.node = NodeState::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::Expired)))
            }
            NodeState::At(node) if node.is_granted() => transition::amend(self, own, node).await.map(Some),
            NodeState::At(_) if is_amend => Ok(Some(Standing::Gone(LostReason::Gone))),
            NodeState::At(node) => self.ask_again(own, node).await,
        }
    }

    /// Takes a place in the queue and reads the queue, in one round trip.
    async fn enter(&self, own: &mut ClaimGuard) -> Result<Option<Standing>, ServerError> {
        let (client, live, claim) = (self.client, self.live, self.claim);
        let directory = client.paths.lock(&claim.name);
        let stem = format!("{directory}/{}", client.dialect.stem(claim.id));
        let content = NodeData::of(claim, Phase::Asking, client.expires(live, claim));
        let mode = match claim.binding {
            Binding::Client => CreateMode::EphemeralSequential,
            Binding::Ttl => CreateMode::PersistentSequential,
        };
        let (data, options) = (content.write(), mode.with_acls(client.session.acls()));
        own.node = NodeState::InDoubt;
        let create = live.zk.create(&stem, &data, &options);
        let both = join(create, live.zk.list_children(&directory));
        let (created, children) = client.session.in_time(Effect::Writes, both).await?;
        let (stat, number) = match created.map_err(|error| ServerError::of(error, Effect::Writes)) {
            Ok(created) => created,
            Err(ServerError::NoNode) => {
                own.node = NodeState::Nowhere;
                client.make_lock(live, &claim.name).await?;
                return Ok(None);
            }
            Err(error) => {
                if !error.is_in_doubt() {
                    own.node = NodeState::Nowhere;
                }
                return Err(error);
            }
        };
        let number = number.to_string();
        let node = Node {
            path: format!("{stem}{number}"),
            delay_marker: None,
            number: number.parse().unwrap_or_default(),
            owner: stat.ephemeral_owner,
            base: token_of(&stat),
            version: stat.version,
            data: content,
            fence: None,
            expires: self.sent + claim.ttl,
        };
        client.keep(claim.id, own, node.clone());
        self.decide(own, node, children).await
    }

    /// Reads the queue again, and writes that it asks or that it still waits, in one round trip.
    async fn ask_again(&self, own: &mut ClaimGuard, mut node: Node) -> Result<Option<Standing>, ServerError> {
        let (client, live, claim) = (self.client, self.live, self.claim);
        let directory = client.paths.lock(&claim.name);
        let notifiers = client.session.waiters.of(&Topic::Claim(claim.id));
        if let Some(busy) = self.repeated_answer(own, &node, &notifiers) {
            node.expires = node.expires.max(self.sent + claim.ttl);
            client.keep(claim.id, own, node);
            return Ok(Some(Standing::Waiting(busy)));
        }
        own.answer = None;
        let woken = notifiers.iter().filter(|notifier| notifier.take_woken()).count();
        // A subscribed claim that was not woken still waits, most likely.
        let is_due = notifiers.is_empty() || woken > 0 || node.data.phase == Phase::Asking;
        self.set_data(&mut node, if is_due { Phase::Asking } else { Phase::Waiting });
        if !is_due && !node.data.expires {
            client.keep(claim.id, own, node.clone());
            let children = client.session.in_time(Effect::Reads, live.zk.list_children(&directory)).await?;
            return self.decide(own, node, children).await;
        }
        let data = node.data.write();
        let set = live.zk.set_data(&node.path, &data, None);
        let both = join(set, live.zk.list_children(&directory));
        let (set, children) = client.session.in_time(Effect::Writes, both).await?;
        if !self.was_set(own, &mut node, set)? {
            return Ok(None);
        }
        self.decide(own, node, children).await
    }

    /// Decides from the queue that was read together with the last write of the own node.
    async fn decide(
        &self,
        own: &mut ClaimGuard,
        node: Node,
        children: Result<Vec<String>, ClientError>,
    ) -> Result<Option<Standing>, ServerError> {
        let children = match children.map_err(|error| ServerError::of(error, Effect::Reads)) {
            // Another program deleted the whole lock.
            Err(ServerError::NoNode) => {
                own.node = NodeState::Nowhere;
                return Ok(None);
            }
            other => other?,
        };
        let queue = Queue::of(self.client.dialect, &children, Some(node.number));
        if let Err(unsafe_mix) = queue.refuse_blind() {
            self.give_up(own, &node).await?;
            return Err(unsafe_mix.into());
        }
        if let Some(older) = in_doubt::duplicate(self, &queue, &node).await? {
            self.give_up(own, &node).await?;
            self.client.keep(self.claim.id, own, older);
            return Ok(None);
        }
        if !children.iter().any(|child| child == node.name()) {
            // It was deleted while it waited.
            own.node = NodeState::Nowhere;
            return Ok(None);
        }
        if let Some(last) = self.surely_waits_for(&queue, &node) {
            return self.wait_for(own, node, &queue, last).await;
        }
        let decision = self.decision(&queue, node.number).await?;
        self.carry_out(own, node, decision, &children).await
    }

    async fn carry_out(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        decision: Decision,
        children: &[String],
    ) -> Result<Option<Standing>, ServerError> {
        let (client, claim) = (self.client, self.claim);
        match decision {
            Decision::Granted => {
                if node.data.phase == Phase::Waiting
                    && !self.write_phase(own, &mut node, Phase::Asking).await?
                {
                    return Ok(None);
                }
                let raised = fencing_token::among(client, self.live, &claim.name, children).await?;
                transition::grant(self, own, node, raised).await.map(Some)
            }
            Decision::Changed | Decision::Expired(_) => Ok(None),
            Decision::Mismatch(limit) => {
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            Decision::Blocked(blocker) if claim.queueing == Queueing::No => {
                let notifiers = client.session.waiters.of(&Topic::Claim(claim.id));
                if !watcher::watch(client, self.live, &blocker.target, &notifiers).await? {
                    return Ok(None);
                }
                self.give_up(own, &node).await?;
                Ok(Some(Standing::Held(self.busy(blocker))))
            }
            Decision::Blocked(blocker) => self.wait(own, node, blocker).await,
        }
    }
}

impl ServerError {
    fn is_in_doubt(&self) -> bool {
        matches!(self, ServerError::Failed(error) if error.outcome() != Outcome::NotApplied)
    }
}
