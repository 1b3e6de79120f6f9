//! Changes of a hold that is there: mode, note, binding, time to live, token, lock-delay.

use leasehold_core::{Binding, Busy, LostReason, Mode, Result, Standing};
use zookeeper_client::CreateMode;

use crate::{
    decision::other_holder,
    error::{Effect, ServerError},
    fencing_token,
    format::{NodeData, Stance},
    own_claims::{Node, NodeState, Turn},
    verbs::claim::ClaimOp,
};

/// By how many changes the version that somebody saw may be behind the last one of a node.
const VERSIONS_APART: i32 = 8;

/// Takes over what a repeated claim says. An upgrade to exclusive is granted only to one that is alone.
pub(crate) async fn amend(
    op: &ClaimOp<'_>,
    turn: &mut Turn,
    mut node: Node,
) -> Result<Standing, ServerError> {
    let claim = op.claim;
    let held = node.slip.mode;
    let is_upgrade = (held, claim.mode) == (Mode::Shared, Mode::Exclusive);
    if !is_upgrade && !ClaimOp::only_gives_back(held, claim.mode) {
        let recheck_in = claim.ttl / 3;
        return Ok(Standing::Held(Busy { holder: None, ahead: None, recheck_in }));
    }
    op.renew_slip(&mut node, Stance::Asking);
    if (node.owner == 0) != (claim.binding == Binding::Ttl) {
        if !bind(op, &mut node).await? {
            turn.place = NodeState::Nowhere;
            return Ok(Standing::Gone(LostReason::Gone));
        }
    } else if !write(op, turn, &mut node).await? {
        return Ok(Standing::Gone(LostReason::Gone));
    }
    // From now on whoever comes is kept out; whoever came before is seen now.
    if is_upgrade && let Some(other) = other_holder(op.shared, op.live, claim, node.name()).await? {
        node.slip.mode = Mode::Shared;
        if !write(op, turn, &mut node).await? {
            return Ok(Standing::Gone(LostReason::Gone));
        }
        let recheck_in = claim.ttl / 3;
        return Ok(Standing::Held(Busy { holder: Some(other), ahead: None, recheck_in }));
    }
    let raised = match claim.fence_floor {
        Some(floor) if node.fence.is_none_or(|fence| fence < floor) => {
            fencing_token::ask(op.shared, op.live, &claim.name).await?
        }
        _ => None,
    };
    op.grant(turn, node, raised).await
}

async fn write(op: &ClaimOp<'_>, turn: &mut Turn, node: &mut Node) -> Result<bool, ServerError> {
    let data = node.slip.write();
    let set = op.live.client.set_data(&node.path, &data, None);
    let set = op.shared.link.in_time(Effect::Writes, set).await?;
    op.was_set(turn, node, set)
}

/// Makes the node anew, to live by its session or to outlive it; whether it was there. Its token stays.
async fn bind(op: &ClaimOp<'_>, node: &mut Node) -> Result<bool, ServerError> {
    node.slip.fence = node.fence;
    remake(op, node).await
}

/// Makes the node anew, under the same name and so in the same place for everybody; whether it was there.
pub(crate) async fn remake(op: &ClaimOp<'_>, node: &mut Node) -> Result<bool, ServerError> {
    let (shared, live, claim) = (op.shared, op.live, op.claim);
    let (mode, owner) = match claim.binding {
        Binding::Ttl => (CreateMode::Persistent, 0),
        Binding::Client => (CreateMode::Ephemeral, live.session),
    };
    let slip = NodeData { expires: shared.expires(live, claim), ..node.slip.clone() };
    let fail = |foreign| ServerError::of(foreign, Effect::Writes);
    let mut writer = live.client.new_multi_writer();
    writer.add_delete(&node.path, None).map_err(fail)?;
    writer.add_create(&node.path, &slip.write(), &mode.with_acls(shared.link.acls())).map_err(fail)?;
    // Versions begin again at 0. Whoever is about to delete what has expired does so in the version that he saw a moment
    // ago: the new node must not have it.
    let version = if node.version < VERSIONS_APART { 2 * VERSIONS_APART } else { 0 };
    for _ in 0..version {
        writer.add_set_data(&node.path, &slip.write(), None).map_err(fail)?;
    }
    let done = shared.link.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| fail(failure.into())) {
        Ok(_) => {
            (node.slip, node.owner, node.version) = (slip, owner, version);
            Ok(true)
        }
        Err(ServerError::NoNode) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Sees to it that what keeps the lock shut after an unclean end is there, or is not there.
pub(crate) async fn set_delay_marker(op: &ClaimOp<'_>, node: &mut Node) -> Result<(), ServerError> {
    let (shared, live, claim) = (op.shared, op.live, op.claim);
    if claim.lock_delay.is_zero() {
        if let Some(delay_marker) = node.delay_marker.take() {
            shared.delete(live, &delay_marker, None).await?;
        }
        return Ok(());
    }
    let data = NodeData { fence: node.fence, ..node.slip.clone() }.write();
    if let Some(delay_marker) = &node.delay_marker {
        let set = live.client.set_data(delay_marker, &data, None);
        return match shared.link.ask(Effect::Writes, set).await {
            Ok(_) | Err(ServerError::NoNode) => Ok(()),
            Err(other) => Err(other),
        };
    }
    let name = shared.dialect.delay_marker(claim.id, node.number);
    let path = format!("{}/{name}", shared.paths.lock(&claim.name));
    let stays = CreateMode::Persistent.with_acls(shared.link.acls());
    match shared.link.ask(Effect::Writes, live.client.create(&path, &data, &stays)).await {
        Ok(_) | Err(ServerError::NodeExists) => {
            node.delay_marker = Some(path);
            Ok(())
        }
        Err(other) => Err(other),
    }
}
