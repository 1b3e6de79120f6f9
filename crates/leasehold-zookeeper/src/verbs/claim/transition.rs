//! Transitions of a claim's node: granted, and the changes of a hold (mode, note, binding, time to live, token, lock-delay).

use leasehold_core::{Binding, Busy, Contender, Grant, LostReason, Mode, Result, Standing};
use zookeeper_client::CreateMode;

use super::op::ClaimOp;
use crate::{
    error::{Effect, ServerError},
    fencing_token::{self, Raised},
    format::{NodeData, Phase},
    own_claims::{ClaimGuard, Node, NodeState},
    queue::{Queue, other_holder},
};

/// Applies a repeated claim to its hold. An upgrade to exclusive is granted only to the only holder.
pub(crate) async fn amend(
    op: &ClaimOp<'_>,
    own: &mut ClaimGuard,
    mut node: Node,
) -> Result<Standing, ServerError> {
    let claim = op.claim;
    let held_by = |holder| Standing::Held(Busy { holder, ahead: None, recheck_in: claim.ttl / 3 });
    let is_upgrade = (node.data.mode, claim.mode) == (Mode::Shared, Mode::Exclusive);
    if !is_upgrade && !only_gives_back(node.data.mode, claim.mode) {
        return Ok(held_by(None));
    }
    op.set_data(&mut node, Phase::Asking);
    let is_there = if (node.owner == 0) == (claim.binding == Binding::Ttl) {
        op.write(own, &mut node).await?
    } else {
        node.data.fence = node.fence;
        op.recreate(&mut node).await?
    };
    if !is_there {
        return Ok(gone(own));
    }
    // From now on later claims are kept out; earlier ones are visible now.
    if is_upgrade && let Some(other) = find_other_holder(op, node.name()).await? {
        node.data.mode = Mode::Shared;
        return Ok(if op.write(own, &mut node).await? { held_by(Some(other)) } else { gone(own) });
    }
    let raised = match claim.fence_floor {
        Some(floor) if node.fence.is_none_or(|fence| fence < floor) => {
            fencing_token::read(op.client, op.live, &claim.name).await?
        }
        _ => None,
    };
    grant(op, own, node, raised).await
}

/// Grants the claim, with its token and its delay marker.
pub(crate) async fn grant(
    op: &ClaimOp<'_>,
    own: &mut ClaimGuard,
    mut node: Node,
    raised: Raised,
) -> Result<Standing, ServerError> {
    match fencing_token::settle(op, &mut node, raised).await {
        Err(ServerError::NoNode) => return Ok(gone(own)),
        other => other?,
    }
    set_delay_marker(op, &mut node).await?;
    op.client.keep(op.claim.id, own, node.clone());
    Ok(Standing::Granted(Grant::lasting(node.fence, node.valid_for(op.live, op.sent))))
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

async fn find_other_holder(op: &ClaimOp<'_>, name: &str) -> Result<Option<Contender>, ServerError> {
    let children = op.client.children(op.live, &op.claim.name).await?;
    let queue = Queue::of(op.client.dialect, &children, None);
    let mut members = op.client.members(op.live, &op.claim.name, &queue.members).await?;
    Ok(other_holder(&mut members, name))
}

/// Creates, updates or deletes the marker that keeps the lock closed after an unclean end.
async fn set_delay_marker(op: &ClaimOp<'_>, node: &mut Node) -> Result<(), ServerError> {
    let (client, live, claim) = (op.client, op.live, op.claim);
    if claim.lock_delay.is_zero() {
        if let Some(marker) = node.delay_marker.take() {
            client.delete(live, &marker, None).await?;
        }
        return Ok(());
    }
    let data = NodeData { fence: node.fence, ..node.data.clone() }.write();
    if let Some(marker) = &node.delay_marker {
        let set = live.zk.set_data(marker, &data, None);
        return match client.session.ask(Effect::Writes, set).await {
            Ok(_) | Err(ServerError::NoNode) => Ok(()),
            Err(other) => Err(other),
        };
    }
    let name = client.dialect.delay_marker(claim.id, node.number);
    let path = format!("{}/{name}", client.paths.lock(&claim.name));
    let persistent = CreateMode::Persistent.with_acls(client.session.acls());
    match client.session.ask(Effect::Writes, live.zk.create(&path, &data, &persistent)).await {
        Ok(_) | Err(ServerError::NodeExists) => {
            node.delay_marker = Some(path);
            Ok(())
        }
        Err(other) => Err(other),
    }
}
