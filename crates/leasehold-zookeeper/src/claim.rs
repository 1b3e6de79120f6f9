//! The verb `claim`.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use leasehold_core::{
    Binding, Claim, Error, ErrorKind, Grant, Intent, LostReason, Mode, Moment, Queueing, Result, Standing,
};
use zookeeper_client::{CreateMode, Error as Foreign, Stat};

use crate::{
    amend,
    fence::{self, Raised},
    find,
    judge::{Judgement, judge},
    link::Live,
    queue::Queue,
    refusal::{Effect, Refusal},
    registry::{Node, Place, Turn},
    shared::{Shared, token_of},
    slip::{Slip, Stance},
};

/// How often a question is asked anew because somebody went meanwhile.
const ROUNDS_MAX: usize = 32;
/// One claim on its way.
pub(crate) struct Asking<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) live: &'a Arc<Live>,
    pub(crate) claim: &'a Claim,
    /// Before anything was sent.
    pub(crate) sent: Moment,
}

/// # Errors
/// See [`Store::claim`](leasehold_core::Store::claim).
pub(crate) async fn claim(shared: &Shared, claim: &Claim) -> Result<Standing> {
    shared.link.refuse_closed()?;
    shared.capability.admits(claim)?;
    let mut turn = shared.registry.turn(claim.id, &claim.name).await;
    if turn.place == Place::Nowhere {
        // Whatever becomes of this future, somebody looks after what it leaves behind.
        shared.registry.schedule(claim.id, &mut turn, shared.env.now() + claim.ttl);
    }
    let live = match shared.link.ready().await {
        Ok(live) => live,
        Err(error) => {
            tidy(shared, claim, &mut turn);
            return Err(error);
        }
    };
    let asking = Asking { shared, live: &live, claim, sent: shared.env.now() };
    let standing = asking.rounds(&mut turn).await;
    tidy(shared, claim, &mut turn);
    standing.map_err(Refusal::into_error)
}

fn tidy(shared: &Shared, claim: &Claim, turn: &mut Turn) {
    if turn.place == Place::Nowhere {
        shared.registry.forget(claim.id, turn);
    }
}

impl Asking<'_> {
    async fn rounds(&self, turn: &mut Turn) -> Result<Standing, Refusal> {
        for _ in 0..ROUNDS_MAX {
            if let Some(standing) = self.round(turn).await? {
                return Ok(standing);
            }
        }
        let error = Error::new(ErrorKind::TimedOut, "those before it come and go too fast to be seen");
        Err(error.unknown().into())
    }

    /// One question; `None` when it is to be asked anew.
    async fn round(&self, turn: &mut Turn) -> Result<Option<Standing>, Refusal> {
        match turn.place.clone() {
            Place::Nowhere if self.claim.intent == Intent::Hold => self.enter(turn).await,
            Place::Nowhere | Place::Doubt => {
                let found = find::find(self.shared, self.live, self.claim, self.sent).await?;
                let is_there = found.is_some();
                match found {
                    Some(node) => self.shared.keep(self.claim.id, turn, node),
                    None => turn.place = Place::Nowhere,
                }
                let is_gone = !is_there && self.claim.intent == Intent::Amend;
                Ok(is_gone.then_some(Standing::Gone(LostReason::Gone)))
            }
            Place::At(node) if node.owner != 0 && node.owner != self.live.session => {
                turn.place = Place::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::SessionEnded)))
            }
            Place::At(node) if self.shared.end(node.expires, Duration::ZERO) <= self.sent => {
                find::expire(self.shared, self.live, &node).await?;
                turn.place = Place::Nowhere;
                Ok(node.is_granted().then_some(Standing::Gone(LostReason::Expired)))
            }
            Place::At(node) if node.is_granted() => amend::amend(self, turn, node).await.map(Some),
            Place::At(_) if self.claim.intent == Intent::Amend => Ok(Some(Standing::Gone(LostReason::Gone))),
            Place::At(node) => self.ask_again(turn, node).await,
        }
    }

    /// Takes a place in the queue and reads the queue, in one round trip.
    async fn enter(&self, turn: &mut Turn) -> Result<Option<Standing>, Refusal> {
        let (shared, live, claim) = (self.shared, self.live, self.claim);
        let directory = shared.paths.lock(&claim.name);
        let stem = format!("{directory}/{}", shared.dialect.stem(claim.id));
        let slip = Slip::of(claim, Stance::Asking, shared.expires(live, claim));
        let mode = match claim.binding {
            Binding::Client => CreateMode::EphemeralSequential,
            Binding::Ttl => CreateMode::PersistentSequential,
        };
        let (data, options) = (slip.write(), mode.with_acls(shared.link.acls()));
        turn.place = Place::Doubt;
        let made = live.client.create(&stem, &data, &options);
        let both = join(made, live.client.list_children(&directory));
        let (made, children) = shared.link.in_time(Effect::Writes, both).await?;
        let (stat, number) = match made.map_err(|foreign| Refusal::of(foreign, Effect::Writes)) {
            Ok(made) => made,
            Err(Refusal::NoNode) => {
                turn.place = Place::Nowhere;
                shared.make_lock(live, &claim.name).await?;
                return Ok(None);
            }
            Err(other) => return Err(settled(other, turn)),
        };
        let number = number.to_string();
        let node = Node {
            path: format!("{stem}{number}"),
            shadow: None,
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
    async fn ask_again(&self, turn: &mut Turn, mut node: Node) -> Result<Option<Standing>, Refusal> {
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
        node.slip = Slip { ttl: node.expires.since(self.sent), fence, ..Slip::of(claim, stance, expires) };
    }

    /// Takes over what the servers say of the own node; whether it is still there.
    pub(crate) fn was_set(
        &self,
        turn: &mut Turn,
        node: &mut Node,
        set: Result<Stat, Foreign>,
    ) -> Result<bool, Refusal> {
        match set.map_err(|foreign| Refusal::of(foreign, Effect::Writes)) {
            Ok(stat) => {
                node.version = stat.version;
                self.shared.keep(self.claim.id, turn, node.clone());
                Ok(true)
            }
            Err(Refusal::NoNode) => {
                turn.place = Place::Nowhere;
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
        children: Result<Vec<String>, Foreign>,
    ) -> Result<Option<Standing>, Refusal> {
        let children = match children.map_err(|foreign| Refusal::of(foreign, Effect::Reads)) {
            // Somebody deleted the whole lock.
            Err(Refusal::NoNode) => {
                turn.place = Place::Nowhere;
                return Ok(None);
            }
            other => other?,
        };
        let queue = Queue::of(self.shared.dialect, &children, Some(node.number));
        if let Err(unsafe_mix) = queue.refuse_blind() {
            self.give_up(turn, &node).await?;
            return Err(unsafe_mix.into());
        }
        if let Some(twin) = find::twin(self, &queue, &node).await? {
            // The same id has another node, which is older: that one counts.
            self.give_up(turn, &node).await?;
            self.shared.keep(self.claim.id, turn, twin);
            return Ok(None);
        }
        if !children.iter().any(|child| child == node.name()) {
            // It was taken away while it waited.
            turn.place = Place::Nowhere;
            return Ok(None);
        }
        if let Some(last) = self.surely_waits_for(&queue, &node) {
            return self.wait_for(turn, node, &queue, last).await;
        }
        match judge(self.shared, self.live, self.claim, &queue, node.number).await? {
            Judgement::Granted => self.enter_now(turn, node, &children).await,
            Judgement::Changed => Ok(None),
            Judgement::Mismatch(limit) => {
                self.give_up(turn, &node).await?;
                Ok(Some(Standing::Mismatch { limit }))
            }
            Judgement::Blocked(block) if self.claim.queueing == Queueing::No => {
                if !self.listen(&block.sight, &self.shared.link.bells.of(self.claim.id)).await? {
                    return Ok(None);
                }
                self.give_up(turn, &node).await?;
                Ok(Some(Standing::Held(self.busy(block))))
            }
            Judgement::Blocked(block) => self.wait(turn, node, block).await,
        }
    }

    /// Nobody is before it.
    async fn enter_now(
        &self,
        turn: &mut Turn,
        mut node: Node,
        children: &[String],
    ) -> Result<Option<Standing>, Refusal> {
        if node.slip.stance == Stance::Waiting && !self.say(turn, &mut node, Stance::Asking).await? {
            return Ok(None);
        }
        let raised = fence::among(self.shared, self.live, &self.claim.name, children).await?;
        self.grant(turn, node, raised).await.map(Some)
    }

    pub(crate) async fn grant(
        &self,
        turn: &mut Turn,
        mut node: Node,
        raised: Raised,
    ) -> Result<Standing, Refusal> {
        match fence::settle(self, &mut node, raised).await {
            Err(Refusal::NoNode) => {
                turn.place = Place::Nowhere;
                return Ok(Standing::Gone(LostReason::Gone));
            }
            other => other?,
        }
        amend::shade(self, &mut node).await?;
        self.shared.keep(self.claim.id, turn, node.clone());
        let left = node.expires.since(self.sent);
        let valid_for = if node.owner == 0 { left } else { left.min(self.live.lasts) };
        Ok(Standing::Granted(Grant::lasting(node.fence, valid_for)))
    }

    /// Writes what it does now into its node; whether that is still there.
    pub(crate) async fn say(
        &self,
        turn: &mut Turn,
        node: &mut Node,
        stance: Stance,
    ) -> Result<bool, Refusal> {
        self.renew_slip(node, stance);
        let data = node.slip.write();
        let set = self.live.client.set_data(&node.path, &data, None);
        let set = self.shared.link.in_time(Effect::Writes, set).await?;
        self.was_set(turn, node, set)
    }

    /// Leaves the queue.
    pub(crate) async fn give_up(&self, turn: &mut Turn, node: &Node) -> Result<(), Refusal> {
        turn.place = Place::Doubt;
        find::remove(self.shared, self.live, node).await?;
        turn.place = Place::Nowhere;
        Ok(())
    }

    /// The mode that a hold may take on without asking.
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
fn settled(refusal: Refusal, turn: &mut Turn) -> Refusal {
    let is_certain = match &refusal {
        Refusal::Failed(error) => error.outcome() == leasehold_core::Outcome::NotApplied,
        _ => true,
    };
    if is_certain {
        turn.place = Place::Nowhere;
    }
    refusal
}
