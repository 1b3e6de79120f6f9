//! The nodes of a claim, found by its id.

use crate::{
    client::{ClientState, token_of},
    error::{Effect, ServerError},
    format::Stance,
    node_name::{NodeKind, NodeName},
    own_claims::Node,
    queue::{Member, Queue, read, stances},
    session::LiveSession,
    verbs::claim::ClaimOp,
    verbs::claim::transition,
};
use leasehold_core::{Claim, FencingToken, Moment};

/// The node of a claim that may have one, after a lost reply or by another client. What belongs to a session that is not
/// ours is on its way out, and is nobody's.
pub(crate) async fn find(
    shared: &ClientState,
    live: &LiveSession,
    claim: &Claim,
    sent: Moment,
) -> Result<Option<Node>, ServerError> {
    let children = shared.children(live, &claim.name).await?;
    if !children.iter().filter_map(|child| shared.dialect.read(child)).any(|it| it.id == Some(claim.id)) {
        return Ok(None);
    }
    let directory = shared.paths.lock(&claim.name);
    let queue = Queue::of(shared.dialect, &children, None);
    let members = read(shared, live, &directory, &queue.members).await?;
    let all: Vec<NodeName> = children.iter().filter_map(|child| shared.dialect.read(child)).collect();
    for (stance, member) in stances(&members).into_iter().zip(&members) {
        if member.sibling.id != Some(claim.id) || member.sibling.kind != NodeKind::Contender {
            continue;
        }
        if let Some(mut node) = adopt(live, member, sent) {
            let holds = stance == Some(leasehold_core::Stance::Holding);
            // One of ours that was never answered has not been granted: it asks again.
            if holds && node.owner == 0 {
                node.fence = token(member);
            }
            let is_shadow = |it: &&NodeName| {
                it.kind == NodeKind::DelayMarker && (it.id, it.number) == (Some(claim.id), node.number)
            };
            node.delay_marker = all.iter().find(is_shadow).map(|it| format!("{directory}/{}", it.name));
            return Ok(Some(node));
        }
    }
    Ok(None)
}

fn token(member: &Member) -> Option<FencingToken> {
    let lifted = member.slip.as_ref().and_then(|slip| slip.fence);
    lifted.or_else(|| FencingToken::new(token_of(&member.stat)).ok())
}

/// A node of ours that this session may act for.
fn adopt(live: &LiveSession, member: &Member, sent: Moment) -> Option<Node> {
    let owner = member.stat.ephemeral_owner;
    if owner == 0 || owner == live.session { node_of(member, owner, sent) } else { None }
}

fn node_of(member: &Member, owner: i64, sent: Moment) -> Option<Node> {
    let slip = member.slip.clone()?;
    Some(Node {
        path: member.path.clone(),
        delay_marker: None,
        number: member.sibling.number,
        owner,
        base: slip.fence.map_or_else(|| token_of(&member.stat), FencingToken::get),
        version: member.stat.version,
        expires: sent + slip.ttl,
        slip,
        fence: None,
    })
}

/// Another node of the same claim that is older than this one, and counts in its place.
pub(crate) async fn duplicate(
    op: &ClaimOp<'_>,
    queue: &Queue,
    node: &Node,
) -> Result<Option<Node>, ServerError> {
    let (shared, live) = (op.shared, op.live);
    let is_duplicate = |it: &&NodeName| it.id == Some(op.claim.id) && it.name != node.name();
    let duplicates: Vec<NodeName> = queue
        .members
        .iter()
        .filter(|it| it.kind == NodeKind::Contender)
        .filter(is_duplicate)
        .cloned()
        .collect();
    if duplicates.is_empty() {
        return Ok(None);
    }
    for member in read(shared, live, &shared.paths.lock(&op.claim.name), &duplicates).await? {
        let is_older = member.sibling.number.wrapping_sub(node.number) < 0;
        if !is_older || member.slip.is_none() {
            shared.delete(live, &member.path, None).await?;
        } else if let Some(mut older) = adopt(live, &member, op.sent) {
            if older.slip.stance == Stance::Asking && older.owner == 0 {
                older.fence = token(&member);
            }
            return Ok(Some(older));
        } else if let Some(older) = take_over(op, &member).await? {
            return Ok(Some(older));
        }
    }
    Ok(None)
}

/// Makes the node of another session one of ours, under the same name and so in the same place; `None` when it is gone.
///
/// Only the owner of a claim knows its id: it has come back with a new session, or by another client. Nobody else can have
/// held in between, because the place was never free; so the token stays too.
async fn take_over(op: &ClaimOp<'_>, member: &Member) -> Result<Option<Node>, ServerError> {
    let Some(mut node) = node_of(member, op.live.session, op.sent) else { return Ok(None) };
    node.slip.fence = token(member);
    Ok(transition::remake(op, &mut node).await?.then_some(node))
}

/// Deletes a node, and its delay_marker with it; whether the node was there.
pub(crate) async fn remove(
    shared: &ClientState,
    live: &LiveSession,
    node: &Node,
) -> Result<bool, ServerError> {
    let Some(delay_marker) = &node.delay_marker else { return shared.delete(live, &node.path, None).await };
    let mut writer = live.client.new_multi_writer();
    for path in [&node.path, delay_marker] {
        writer.add_delete(path, None).map_err(|foreign| ServerError::of(foreign, Effect::Writes))?;
    }
    let done = shared.link.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| ServerError::of(failure.into(), Effect::Writes)) {
        Ok(_) => Ok(true),
        // One of the two is gone. If it is the node, its hold has ended already, and what keeps the lock shut stays.
        Err(ServerError::NoNode) => shared.delete(live, &node.path, None).await,
        Err(other) => Err(other),
    }
}

/// Ends a hold whose time is over; its delay_marker stays. One that another client has prolonged stays too.
pub(crate) async fn expire(shared: &ClientState, live: &LiveSession, node: &Node) -> Result<(), ServerError> {
    let version = (node.owner == 0).then_some(node.version);
    match shared.delete(live, &node.path, version).await {
        Ok(_) | Err(ServerError::BadVersion) => Ok(()),
        Err(other) => Err(other),
    }
}
