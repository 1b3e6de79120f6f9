//! The nodes of a claim that may have one: after a lost reply, or made by another client for the same claim.

use leasehold_core::{Claim, Moment, Stance};

use crate::{
    client::Client,
    error::ServerError,
    format::Phase,
    node_name::{NodeKind, NodeName},
    own_claims::Node,
    queue::{Member, Queue, stances, token_of},
    session::LiveSession,
    verbs::claim::op::ClaimOp,
};

/// The node of a claim. Nodes of other sessions are about to end, and do not count.
pub(crate) async fn find(
    client: &Client,
    live: &LiveSession,
    claim: &Claim,
    sent: Moment,
) -> Result<Option<Node>, ServerError> {
    let children = client.children(live, &claim.name).await?;
    let all: Vec<NodeName> = children.iter().filter_map(|child| client.dialect.read(child)).collect();
    if !all.iter().any(|it| it.id == Some(claim.id)) {
        return Ok(None);
    }
    let queue = Queue::of(client.dialect, &children, None);
    let members = client.members(live, &claim.name, &queue.members).await?;
    for (stance, member) in stances(&members).into_iter().zip(&members) {
        if member.name.id != Some(claim.id) || member.name.kind != NodeKind::Contender {
            continue;
        }
        if let Some(mut node) = adopt(live, member, sent) {
            // An ephemeral node whose claim was never answered has not been granted: the claim asks again.
            if stance == Some(Stance::Holding) && node.owner == 0 {
                node.fence = member.fence();
            }
            let is_marker = |it: &&NodeName| {
                it.kind == NodeKind::DelayMarker && (it.id, it.number) == (Some(claim.id), node.number)
            };
            let directory = client.paths.lock(&claim.name);
            node.delay_marker = all.iter().find(is_marker).map(|it| format!("{directory}/{}", it.name));
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// A node that this session may act for.
fn adopt(live: &LiveSession, member: &Member, sent: Moment) -> Option<Node> {
    let owner = member.stat.ephemeral_owner;
    if owner == 0 || owner == live.id { node_of(member, owner, sent) } else { None }
}

fn node_of(member: &Member, owner: i64, sent: Moment) -> Option<Node> {
    let data = member.data.clone()?;
    Some(Node {
        path: member.path.clone(),
        delay_marker: None,
        number: member.name.number,
        owner,
        base: data.fence.map_or_else(|| token_of(&member.stat), |fence| fence.get()),
        version: member.stat.version,
        expires: sent + data.ttl,
        data,
        fence: None,
    })
}

/// An older node of the same claim, which counts instead of this one; later ones are deleted.
pub(crate) async fn duplicate(
    op: &ClaimOp<'_>,
    queue: &Queue,
    node: &Node,
) -> Result<Option<Node>, ServerError> {
    let is_duplicate = |it: &&NodeName| {
        it.kind == NodeKind::Contender && it.id == Some(op.claim.id) && it.name != node.name()
    };
    let duplicates: Vec<NodeName> = queue.members.iter().filter(is_duplicate).cloned().collect();
    if duplicates.is_empty() {
        return Ok(None);
    }
    for member in op.client.members(op.live, &op.claim.name, &duplicates).await? {
        let is_older = member.name.number.wrapping_sub(node.number) < 0;
        if !is_older || member.data.is_none() {
            op.client.delete(op.live, &member.path, None).await?;
        } else if let Some(mut older) = adopt(op.live, &member, op.sent) {
            if older.data.phase == Phase::Asking && older.owner == 0 {
                older.fence = member.fence();
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
/// Only the owner of a claim knows its id: it has come back with a new session, or through another client. No other claim
/// can have held in between, because the place was never free; so the token stays, too.
async fn take_over(op: &ClaimOp<'_>, member: &Member) -> Result<Option<Node>, ServerError> {
    let Some(mut node) = node_of(member, op.live.id, op.sent) else { return Ok(None) };
    node.data.fence = member.fence();
    Ok(op.recreate(&mut node).await?.then_some(node))
}
