//! Transitions of a claim's node: found again, granted, and the changes of a hold (mode, note, binding, time to live, token,
//! lock-delay).

use leasehold_core::{
    Binding, Busy, Contender, Error, ErrorKind, FencingToken, Grant, LostReason, Mode, Result, Stance,
    Standing,
};
use zookeeper_client::CreateMode;

use super::ClaimOp;
use crate::{
    dialect::NodeName,
    error::{ServerError, unless_gone},
    format::{NodeData, Phase},
    lock_record::Raised,
    own_claims::{ClaimGuard, Node, NodeState},
    queue::{Queue, other_holder, stances},
};

/// The number of changes by which an observed version may be older than the current one.
const VERSIONS_APART: i32 = 8;
/// The number of times that a raised token is written again because another client raised one meanwhile.
const RAISES_MAX: usize = 16;

impl ClaimOp<'_> {
    /// The node of the claim: after a lost reply, or made by another client for the same claim.
    ///
    /// A node of another session is about to end, and does not count. With `takes_over` it is made one of ours, under the
    /// same name and so in the same place. Only the owner of a claim knows its id: it has come back with a new session, or
    /// through another client. No other claim can have held in between, because the place was never free; so the token
    /// stays, too.
    pub(crate) async fn find(&self, takes_over: bool) -> Result<Option<Node>> {
        let (dialect, live, id) = (self.lock.client.dialect, &self.lock.live, self.claim.id);
        let children = self.lock.children().await?;
        let queue = Queue::of(dialect, &children, None);
        if !queue.members.iter().any(|it| it.is_of(id)) {
            return Ok(None);
        }
        let members = self.lock.members(&queue.members).await?;
        for (stance, member) in stances(&members).into_iter().zip(&members) {
            if !member.name.is_of(id) {
                continue;
            }
            let Some(mut node) = Node::of(member, self.sent) else {
                live.delete(&self.lock.child(&member.name.name), None).await?;
                continue;
            };
            node.has_delay_marker = children.contains(&member.name.delay_marker());
            let owner = node.owner;
            if owner == 0 || owner == live.id {
                // An ephemeral node whose claim was never answered has not been granted: the claim asks again.
                if stance == Some(Stance::Holding) && owner == 0 {
                    node.fence = member.fence();
                }
                return Ok(Some(node));
            }
            node.data.fence = member.fence();
            if takes_over && self.recreate(&mut node).await? {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Applies a repeated claim to its hold. An upgrade to exclusive is granted only to the only holder.
    pub(super) async fn amend(&self, own: &mut ClaimGuard, mut node: Node) -> Result<Standing> {
        let claim = self.claim;
        let held_by = |holder| Standing::Held(Busy { holder, ahead: None, recheck_in: claim.ttl / 3 });
        let is_upgrade = (node.data.mode, claim.mode) == (Mode::Shared, Mode::Exclusive);
        if !is_upgrade && !only_gives_back(node.data.mode, claim.mode) {
            return Ok(held_by(None));
        }
        self.set_data(&mut node, Phase::Asking);
        let is_there = if (node.owner == 0) == (claim.binding == Binding::Ttl) {
            self.write(own, &mut node).await?
        } else {
            node.data.fence = node.fence;
            self.recreate(&mut node).await?
        };
        if !is_there {
            return Ok(gone(own));
        }
        // From now on later claims are kept out; earlier ones are visible now.
        if is_upgrade && let Some(other) = self.find_other_holder(&node.name).await? {
            node.data.mode = Mode::Shared;
            return Ok(if self.write(own, &mut node).await? { held_by(Some(other)) } else { gone(own) });
        }
        let raised = match claim.fence_floor {
            Some(floor) if node.fence.is_none_or(|fence| fence < floor) => self.lock.raised().await?,
            _ => None,
        };
        self.grant(own, node, raised).await
    }

    /// Grants the claim, with its token and its delay marker.
    pub(super) async fn grant(
        &self,
        own: &mut ClaimGuard,
        mut node: Node,
        raised: Raised,
    ) -> Result<Standing> {
        if !self.settle(&mut node, raised).await? {
            return Ok(gone(own));
        }
        self.set_delay_marker(&mut node).await?;
        self.keep(own, node.clone());
        Ok(Standing::Granted(Grant::lasting(node.fence, node.valid_for(&self.lock.live, self.sent))))
    }

    async fn find_other_holder(&self, own: &NodeName) -> Result<Option<Contender>> {
        let queue = Queue::of(self.lock.client.dialect, &self.lock.children().await?, None);
        let mut members = self.lock.members(&queue.members).await?;
        Ok(other_holder(&mut members, own))
    }

    /// Creates the node again, under the same name and so in the same place, ephemeral or persistent as the claim wants;
    /// whether it was there.
    async fn recreate(&self, node: &mut Node) -> Result<bool> {
        let live = &self.lock.live;
        let (mode, owner) = match self.claim.binding {
            Binding::Ttl => (CreateMode::Persistent, 0),
            Binding::Client => (CreateMode::Ephemeral, live.id),
        };
        node.data.expires = self.expires();
        // Versions begin again at 0. A client that is about to delete an expired node does so in the version that it read a
        // moment ago: the new node must not have it.
        let version = if node.version < VERSIONS_APART { 2 * VERSIONS_APART } else { 0 };
        let (path, data) = (self.lock.child(&node.name.name), node.data.write());
        let done = live.transact(|writer| {
            writer.add_delete(&path, None)?;
            writer.add_create(&path, &data, &mode.with_acls(live.acls))?;
            (0..version).try_for_each(|_| writer.add_set_data(&path, &data, None))
        });
        let is_there = unless_gone(done.await)?.is_some();
        (node.owner, node.version) = (owner, version);
        Ok(is_there)
    }

    /// Gives the node its token: its present one, or a new one above all that were granted, and not below the floor.
    /// Whether the node is still there.
    async fn settle(&self, node: &mut Node, mut raised: Raised) -> Result<bool> {
        // A place that was taken over keeps its token; a proposal is for a new grant.
        let is_new = node.fence.is_none() && node.data.fence.is_none();
        let proposal = self.claim.fence_proposal.filter(|_| is_new);
        let floor = self.claim.fence_floor.max(proposal).map_or(0, FencingToken::get);
        for _ in 0..RAISES_MAX {
            let present = match node.fence {
                Some(fence) => fence.get(),
                None => node.base.max(raised.map_or(0, |(raised, _)| raised + 1)),
            };
            let token = present.max(floor);
            let fence = FencingToken::new(token).map_err(|_| too_large())?;
            let is_natural = token == node.base || node.fence == Some(fence);
            match if is_natural { Ok(()) } else { self.raise(node, fence, raised).await } {
                Ok(()) => {
                    node.fence = Some(fence);
                    return Ok(true);
                }
                Err(ServerError::NoNode) => return Ok(false),
                Err(ServerError::BadVersion | ServerError::NodeExists) => {
                    raised = self.lock.raised().await?;
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(ServerError::BadVersion.into())
    }

    /// Writes a raised token into the node of the claim and into the node that records it, unless another client has raised
    /// one meanwhile.
    async fn raise(&self, node: &mut Node, fence: FencingToken, raised: Raised) -> Result<(), ServerError> {
        let data = NodeData { fence: Some(fence), ..node.data.clone() };
        let highest = fence.get().max(raised.map_or(0, |(raised, _)| raised)).to_string();
        let (live, path) = (&self.lock.live, self.lock.child(self.lock.client.dialect.fence()));
        let done = live.transact(|writer| {
            writer.add_set_data(&self.lock.child(&node.name.name), &data.write(), None)?;
            match raised {
                Some((_, version)) => writer.add_set_data(&path, highest.as_bytes(), Some(version)),
                None => {
                    let persistent = CreateMode::Persistent.with_acls(live.acls);
                    writer.add_create(&path, highest.as_bytes(), &persistent)
                }
            }
        });
        done.await?;
        node.data = data;
        node.version += 1;
        Ok(())
    }

    /// Creates, updates or deletes the marker that keeps the lock closed after an unclean end.
    async fn set_delay_marker(&self, node: &mut Node) -> Result<()> {
        let (live, is_wanted) = (&self.lock.live, !self.claim.lock_delay.is_zero());
        let marker = self.lock.child(&node.name.delay_marker());
        let data = NodeData { fence: node.fence, ..node.data.clone() }.write();
        match (is_wanted, node.has_delay_marker) {
            (true, true) => drop(live.set(&marker, &data).await?),
            (true, false) => drop(live.create(&marker, &data, CreateMode::Persistent).await?),
            (false, true) => drop(live.delete(&marker, None).await?),
            (false, false) => {}
        }
        node.has_delay_marker = is_wanted;
        Ok(())
    }
}

fn gone(own: &mut ClaimGuard) -> Standing {
    own.node = NodeState::Nowhere;
    Standing::Gone(LostReason::Gone)
}

/// Whether a hold may take on the wanted mode without waiting.
fn only_gives_back(held: Mode, wanted: Mode) -> bool {
    match (held, wanted) {
        (Mode::Exclusive, Mode::Shared) => true,
        (Mode::Permits { take, of }, Mode::Permits { take: after, of: same }) => after <= take && of == same,
        (held, wanted) => held == wanted,
    }
}

fn too_large() -> Error {
    let message = "the ensemble's transaction ids are above 2^53: its epoch has passed 2^21";
    Error::new(ErrorKind::Exhausted, message)
        .hint("fencing tokens are below 2^53 so that Lua, JavaScript and SQL keep them: start a new ensemble")
}
