//! The nodes of a claim, found by its id.

use crate::{
    amend,
    claim::Asking,
    link::Live,
    queue::{Member, Queue, read, stances},
    refusal::{Effect, Refusal},
    registry::Node,
    shared::{Shared, token_of},
    sibling::{Kind, Sibling},
    slip::Stance,
};
use leasehold_core::{Claim, FencingToken, Moment};

/// The node of a claim that may have one, after a lost reply or by another client. What belongs to a session that is not
/// ours is on its way out, and is nobody's.
pub(crate) async fn find(
    shared: &Shared,
    live: &Live,
    claim: &Claim,
    sent: Moment,
) -> Result<Option<Node>, Refusal> {
    let children = shared.children(live, &claim.name).await?;
    if !children.iter().filter_map(|child| shared.dialect.read(child)).any(|it| it.id == Some(claim.id)) {
        return Ok(None);
    }
    let directory = shared.paths.lock(&claim.name);
    let queue = Queue::of(shared.dialect, &children, None);
    let members = read(shared, live, &directory, &queue.members).await?;
    let all: Vec<Sibling> = children.iter().filter_map(|child| shared.dialect.read(child)).collect();
    for (stance, member) in stances(&members).into_iter().zip(&members) {
        if member.sibling.id != Some(claim.id) || member.sibling.kind != Kind::Contender {
            continue;
        }
        if let Some(mut node) = adopt(live, member, sent) {
            let holds = stance == Some(leasehold_core::Stance::Holding);
            // One of ours that was never answered has not been granted: it asks again.
            if holds && node.owner == 0 {
                node.fence = token(member);
            }
            let is_shadow = |it: &&Sibling| {
                it.kind == Kind::Shadow && (it.id, it.number) == (Some(claim.id), node.number)
            };
            node.shadow = all.iter().find(is_shadow).map(|it| format!("{directory}/{}", it.name));
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
fn adopt(live: &Live, member: &Member, sent: Moment) -> Option<Node> {
    let owner = member.stat.ephemeral_owner;
    if owner == 0 || owner == live.session { node_of(member, owner, sent) } else { None }
}

fn node_of(member: &Member, owner: i64, sent: Moment) -> Option<Node> {
    let slip = member.slip.clone()?;
    Some(Node {
        path: member.path.clone(),
        shadow: None,
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
pub(crate) async fn twin(asking: &Asking<'_>, queue: &Queue, node: &Node) -> Result<Option<Node>, Refusal> {
    let (shared, live) = (asking.shared, asking.live);
    let is_twin = |it: &&Sibling| it.id == Some(asking.claim.id) && it.name != node.name();
    let twins: Vec<Sibling> =
        queue.members.iter().filter(|it| it.kind == Kind::Contender).filter(is_twin).cloned().collect();
    if twins.is_empty() {
        return Ok(None);
    }
    for member in read(shared, live, &shared.paths.lock(&asking.claim.name), &twins).await? {
        let is_older = member.sibling.number.wrapping_sub(node.number) < 0;
        if !is_older || member.slip.is_none() {
            shared.delete(live, &member.path, None).await?;
        } else if let Some(mut older) = adopt(live, &member, asking.sent) {
            if older.slip.stance == Stance::Asking && older.owner == 0 {
                older.fence = token(&member);
            }
            return Ok(Some(older));
        } else if let Some(older) = take_over(asking, &member).await? {
            return Ok(Some(older));
        }
    }
    Ok(None)
}

/// Makes the node of another session one of ours, under the same name and so in the same place; `None` when it is gone.
///
/// Only the owner of a claim knows its id: it has come back with a new session, or by another client. Nobody else can have
/// held in between, because the place was never free; so the token stays too.
async fn take_over(asking: &Asking<'_>, member: &Member) -> Result<Option<Node>, Refusal> {
    let Some(mut node) = node_of(member, asking.live.session, asking.sent) else { return Ok(None) };
    node.slip.fence = token(member);
    Ok(amend::remake(asking, &mut node).await?.then_some(node))
}

/// Deletes a node, and its shadow with it; whether the node was there.
pub(crate) async fn remove(shared: &Shared, live: &Live, node: &Node) -> Result<bool, Refusal> {
    let Some(shadow) = &node.shadow else { return shared.delete(live, &node.path, None).await };
    let mut writer = live.client.new_multi_writer();
    for path in [&node.path, shadow] {
        writer.add_delete(path, None).map_err(|foreign| Refusal::of(foreign, Effect::Writes))?;
    }
    let done = shared.link.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| Refusal::of(failure.into(), Effect::Writes)) {
        Ok(_) => Ok(true),
        // One of the two is gone. If it is the node, its hold has ended already, and what keeps the lock shut stays.
        Err(Refusal::NoNode) => shared.delete(live, &node.path, None).await,
        Err(other) => Err(other),
    }
}

/// Ends a hold whose time is over; its shadow stays. One that another client has prolonged stays too.
pub(crate) async fn expire(shared: &Shared, live: &Live, node: &Node) -> Result<(), Refusal> {
    let version = (node.owner == 0).then_some(node.version);
    match shared.delete(live, &node.path, version).await {
        Ok(_) | Err(Refusal::BadVersion) => Ok(()),
        Err(other) => Err(other),
    }
}
