//! The verb `claim`.

pub(crate) mod transition;
mod wait;

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use leasehold_core::{
    Binding, Claim, Error, ErrorKind, Grant, Intent, LostReason, Mode, Moment, Queueing, Result, Standing,
};
use zookeeper_client::{CreateMode, Error as ClientError, Stat};

use crate::{
    client::{ClientState, token_of},
    decision::{Decision, judge},
    error::{Effect, ServerError},
    fencing_token::{self, Raised},
    format::{NodeData, Stance},
    in_doubt,
    own_claims::{Node, NodeState, Turn},
    queue::Queue,
    session::LiveSession,
};

/// How often a question is asked anew because somebody went meanwhile.
const ROUNDS_MAX: usize = 32;
/// One claim on its way.
pub(crate) struct ClaimOp<'a> {
    pub(crate) shared: &'a ClientState,
    pub(crate) live: &'a Arc<LiveSession>,
    pub(crate) claim: &'a Claim,
    /// Before anything was sent.
    pub(crate) sent: Moment,
}

/// # Errors
/// See [`Store::claim`](leasehold_core::Store::claim).
pub(crate) async fn claim(shared: &ClientState, claim: &Claim) -> Result<Standing> {
    shared.link.refuse_closed()?;
    shared.capability.admits(claim)?;
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    if turn.place == NodeState::Nowhere {
        // Whatever becomes of this future, somebody looks after what it leaves behind.
        shared.registry.schedule(claim.id, &mut turn, shared.env.now() + claim.ttl);
    }
    let live = match shared.link.ready().await {
        Ok(live) => live,
        Err(error) => {
            forget_unplaced(shared, claim, &mut turn);
            return Err(error);
        }
    };
    let op = ClaimOp { shared, live: &live, claim, sent: shared.env.now() };
    let standing = op.rounds(&mut turn).await;
    forget_unplaced(shared, claim, &mut turn);
    standing.map_err(ServerError::into_error)
}

fn forget_unplaced(shared: &ClientState, claim: &Claim, turn: &mut Turn) {
    if turn.place == NodeState::Nowhere {
        shared.registry.forget(claim.id, turn);
    }
}

impl ClaimOp<'_> {
    async fn rounds(&self, turn: &mut Turn) -> Result<Standing, ServerError> {
        for _ in 0..ROUNDS_MAX {
            if let Some(standing) = self.round(turn).await? {
                return Ok(standing);
            }
        }
        let error = Error::new(ErrorKind::TimedOut, "those before it come and go too fast to be seen");
        Err(error.unknown().into())
    }

    /// One question; `None` when it is to be asked anew.
    async fn round(&self, turn: &mut Turn) -> Result<Option<Standing>, ServerError> {
        match turn.place.clone() {
            NodeState::Nowhere if self.claim.intent == Intent::Hold => self.enter(turn).await,
            NodeState::Nowhere | NodeState::Doubt => {
                let found = in_doubt::find(self.shared, self.live, self.claim, self.sent).await?;
                let is_there = found.is_some();
                match found {
                    Some(node) => self.shared.keep(self.claim.id, turn, node),
                    None => turn.place = NodeState::Nowhere,
                }
                let is_gone = !is_there && self.claim.intent == Intent::Amend;
                Ok(is_gone.then_some(Standing::Gone(LostReason::Gone)))
            }
            NodeState::At(node) if node.owner != 0 && node.owner != self.live.session => {
                turn.place = NodeState::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::SessionEnded)))
            }
            NodeState::At(node) if self.shared.end(node.expires, Duration::ZERO) <= self.sent => {
                in_doubt::expire(self.shared, self.live, &node).await?;
                turn.place = NodeState::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::Expired)))
            }
            NodeState::At(node) if node.is_granted() => transition::amend(self, turn, node).await.map(Some),
            NodeState::At(_) if self.claim.intent == Intent::Amend => {
                Ok(Some(Standing::Gone(LostReason::Gone)))
            }
            NodeState::At(node) => self.ask_again(turn, node).await,
        }
    }

    /// Takes a place in the queue and reads the queue, in one round trip.
    async fn enter(&self, turn: &mut Turn) -> Result<Option<Standing>, ServerError> {
        let (shared, live, claim) = (self.shared, self.live, self.claim);
        let directory = shared.paths.lock(&claim.name);
        let stem = format!("{directory}/{}", shared.dialect.stem(claim.id));
        let slip = NodeData::of(claim, Stance::Asking, shared.expires(live, claim));
        let mode = match claim.binding {
            Binding::Client => CreateMode::EphemeralSequential,
            Binding::Ttl => CreateMode::PersistentSequential,
        };
        let (data, options) = (slip.write(), mode.with_acls(shared.link.acls()));
        turn.place = NodeState::Doubt;
        let made = live.client.create(&stem, &data, &options);
        let both = join(made, live.client.list_children(&directory));
        let (made, children) = shared.link.in_time(Effect::Writes, both).await?;
        let (stat, number) = match made.map_err(|foreign| ServerError::of(foreign, Effect::Writes)) {
            Ok(made) => made,
            Err(ServerError::NoNode) => {
                turn.place = NodeState::Nowhere;
                shared.make_lock(live, &claim.name).await?;
                return Ok(None);
            }
            Err(other) => return Err(settled(other, turn)),
        };
        let number = number.to_string();
        let node = Node {
            path: format!("{stem}{number}"),
            delay_marker: None,
            number: number.parse().unwrap_or_default(),
            owner: stat.ephemeral_owner,
            base: token_of(&stat),
            version: stat.version,
            slip,
            fence: None,
            expires: self.sent + claim.ttl,
        };
        shared.keep(claim.id, turn, node.clone());
        self.decide(turn, node, children).await
    }

    /// Reads the queue again, and says that it asks or that it still waits, in one round trip.
    async fn ask_again(&self, turn: &mut Turn, mut node: Node) -> Result<Option<Standing>, ServerError> {
        let (shared, live, claim) = (self.shared, self.live, self.claim);
        let directory = shared.paths.lock(&claim.name);
        let bells = shared.link.bells.of(claim.id);
        if let Some(busy) = self.is_still_so(turn, &node, &bells) {
            node.expires = node.expires.max(self.sent + claim.ttl);
            shared.keep(claim.id, turn, node);
            return Ok(Some(Standing::Waiting(busy)));
        }
        turn.heard = None;
        let rung = bells.iter().filter(|bell| bell.take_ring()).count();
        // Whoever listens and was not rung for still waits, most likely.
        let is_due = bells.is_empty() || rung > 0 || node.slip.stance == Stance::Asking;
        self.renew_slip(&mut node, if is_due { Stance::Asking } else { Stance::Waiting });
        if !is_due && !node.slip.expires {
            shared.keep(claim.id, turn, node.clone());
            let children = shared.link.in_time(Effect::Reads, live.client.list_children(&directory)).await?;
            return self.decide(turn, node, children).await;
        }
        let data = node.slip.write();
        let set = live.client.set_data(&node.path, &data, None);
        let both = join(set, live.client.list_children(&directory));
        let (set, children) = shared.link.in_time(Effect::Writes, both).await?;
        if !self.was_set(turn, &mut node, set)? {
            return Ok(None);
        }
        self.decide(turn, node, children).await
    }

    /// What the claim says now, for at least as long as was promised before.
    pub(crate) fn renew_slip(&self, node: &mut Node, stance: Stance) {
        let (claim, fence) = (self.claim, node.slip.fence);
        node.expires = node.expires.max(self.sent + claim.ttl);
        let expires = node.owner == 0 || claim.ttl < self.live.lasts;
        node.slip =
            NodeData { ttl: node.expires.since(self.sent), fence, ..NodeData::of(claim, stance, expires) };
    }

    /// Takes over what the servers write_phase of the own node; whether it is still there.
    pub(crate) fn was_set(
        &self,
        turn: &mut Turn,
        node: &mut Node,
        set: Result<Stat, ClientError>,
    ) -> Result<bool, ServerError> {
        match set.map_err(|foreign| ServerError::of(foreign, Effect::Writes)) {
            Ok(stat) => {
                node.version = stat.version;
                self.shared.keep(self.claim.id, turn, node.clone());
                Ok(true)
            }
            Err(ServerError::NoNode) => {
                turn.place = NodeState::Nowhere;
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// What was read together with the last word on the own node says what becomes of it.
    async fn decide(
        &self,
        turn: &mut Turn,
        node: Node,
        children: Result<Vec<String>, ClientError>,
    ) -> Result<Option<Standing>, ServerError> {
        let children = match children.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
            // Somebody deleted the whole lock.
            Err(ServerError::NoNode) => {
                turn.place = NodeState::Nowhere;
                return Ok(None);
            }
            other => other?,
        };
        let queue = Queue::of(self.shared.dialect, &children, Some(node.number));
        if let Err(unsafe_mix) = queue.refuse_blind() {
            self.give_up(turn, &node).await?;
            return Err(unsafe_mix.into());
        }
        if let Some(duplicate) = in_doubt::duplicate(self, &queue, &node).await? {
            // The same id has another node, which is older: that one counts.
            self.give_up(turn, &node).await?;
            self.shared.keep(self.claim.id, turn, duplicate);
            return Ok(None);
        }
        if !children.iter().any(|child| child == node.name()) {
            // It was taken away while it waited.
            turn.place = NodeState::Nowhere;
            return Ok(None);
        }
        if let Some(last) = self.surely_waits_for(&queue, &node) {
            return self.wait_for(turn, node, &queue, last).await;
        }
        match judge(self.shared, self.live, self.claim, &queue, node.number).await? {
            Decision::Granted => self.enter_now(turn, node, &children).await,
            Decision::Changed => Ok(None),
            Decision::Mismatch(limit) => {
                self.give_up(turn, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            Decision::Blocked(block) if self.claim.queueing == Queueing::No => {
                if !self.listen(&block.sight, &self.shared.link.bells.of(self.claim.id)).await? {
                    return Ok(None);
                }
                self.give_up(turn, &node).await?;
                Ok(Some(Standing::Held(self.busy(block))))
            }
            Decision::Blocked(block) => self.wait(turn, node, block).await,
        }
    }

    /// Nobody is before it.
    async fn enter_now(
        &self,
        turn: &mut Turn,
        mut node: Node,
        children: &[String],
    ) -> Result<Option<Standing>, ServerError> {
        if node.slip.stance == Stance::Waiting && !self.write_phase(turn, &mut node, Stance::Asking).await? {
            return Ok(None);
        }
        let raised = fencing_token::among(self.shared, self.live, &self.claim.name, children).await?;
        self.grant(turn, node, raised).await.map(Some)
    }

    pub(crate) async fn grant(
        &self,
        turn: &mut Turn,
        mut node: Node,
        raised: Raised,
    ) -> Result<Standing, ServerError> {
        match fencing_token::settle(self, &mut node, raised).await {
            Err(ServerError::NoNode) => {
                turn.place = NodeState::Nowhere;
                return Ok(Standing::Gone(LostReason::Gone));
            }
            other => other?,
        }
        transition::set_delay_marker(self, &mut node).await?;
        self.shared.keep(self.claim.id, turn, node.clone());
        let left = node.expires.since(self.sent);
        let valid_for = if node.owner == 0 { left } else { left.min(self.live.lasts) };
        Ok(Standing::Granted(Grant::lasting(node.fence, valid_for)))
    }

    /// Writes what it does now into its node; whether that is still there.
    pub(crate) async fn write_phase(
        &self,
        turn: &mut Turn,
        node: &mut Node,
        stance: Stance,
    ) -> Result<bool, ServerError> {
        self.renew_slip(node, stance);
        let data = node.slip.write();
        let set = self.live.client.set_data(&node.path, &data, None);
        let set = self.shared.link.in_time(Effect::Writes, set).await?;
        self.was_set(turn, node, set)
    }

    /// Leaves the queue.
    pub(crate) async fn give_up(&self, turn: &mut Turn, node: &Node) -> Result<(), ServerError> {
        turn.place = NodeState::Doubt;
        in_doubt::remove(self.shared, self.live, node).await?;
        turn.place = NodeState::Nowhere;
        Ok(())
    }

    /// The mode that a hold may take on without op.
    pub(crate) fn only_gives_back(held: Mode, wanted: Mode) -> bool {
        match (held, wanted) {
            (Mode::Exclusive, Mode::Shared) => true,
            (Mode::Permits { take, of }, Mode::Permits { take: after, of: same }) => {
                after <= take && of == same
            }
            (held, wanted) => held == wanted,
        }
    }
}

/// A refusal of what makes the own node: refused for certain, it is nowhere.
fn settled(refusal: ServerError, turn: &mut Turn) -> ServerError {
    let is_certain = match &refusal {
        ServerError::Failed(error) => error.outcome() == leasehold_core::Outcome::NotApplied,
        _ => true,
    };
    if is_certain {
        turn.place = NodeState::Nowhere;
    }
    refusal
}
