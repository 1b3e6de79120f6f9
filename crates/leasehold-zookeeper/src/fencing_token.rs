//! Fencing tokens: the id of the transaction that created a claim's place, or a higher one where a floor demands it.

use leasehold_core::{Error, ErrorKind, FencingToken, LockName, Result};
use zookeeper_client::CreateMode;

use crate::{
    client::Client,
    error::{Effect, ServerError},
    format::NodeData,
    own_claims::Node,
    session::LiveSession,
    verbs::claim::op::ClaimOp,
};

/// The number of times that a raised token is written again because another client raised one meanwhile.
const ROUNDS_MAX: usize = 16;

/// The highest raised token of a name, and the version of the node that records it.
pub(crate) type Raised = Option<(u64, i32)>;

/// Reads the raised token if its node is among the children: where no token was ever raised, nothing is sent.
pub(crate) async fn among(
    client: &Client,
    live: &LiveSession,
    lock: &LockName,
    children: &[String],
) -> Result<Raised, ServerError> {
    if !children.iter().any(|child| child == client.dialect.fence()) {
        return Ok(None);
    }
    read(client, live, lock).await
}

/// Reads the raised token.
pub(crate) async fn read(
    client: &Client,
    live: &LiveSession,
    lock: &LockName,
) -> Result<Raised, ServerError> {
    let path = path(client, lock);
    match client.session.ask(Effect::Reads, live.zk.get_data(&path)).await {
        Ok((data, stat)) => {
            let number = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
            let corrupt = || Error::new(ErrorKind::Corrupt, "the node of the fencing counter is no number");
            Ok(Some((number.ok_or_else(corrupt)?, stat.version)))
        }
        Err(ServerError::NoNode) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The node that records the highest raised token of a lock.
fn path(client: &Client, lock: &LockName) -> String {
    format!("{}/{}", client.paths.lock(lock), client.dialect.fence())
}

/// Gives the node its token: its present one, or a new one above all that were granted, and not below the floor.
pub(crate) async fn settle(op: &ClaimOp<'_>, node: &mut Node, raised: Raised) -> Result<(), ServerError> {
    let mut raised = raised;
    // A place that was taken over keeps its token; a proposal is for a new grant.
    let is_new = node.fence.is_none() && node.data.fence.is_none();
    let proposal = op.claim.fence_proposal.filter(|_| is_new);
    let floor = op.claim.fence_floor.max(proposal).map_or(0, FencingToken::get);
    for _ in 0..ROUNDS_MAX {
        let present = match node.fence {
            Some(fence) => fence.get(),
            None => node.base.max(raised.map_or(0, |(raised, _)| raised + 1)),
        };
        let token = present.max(floor);
        let fence = FencingToken::new(token).map_err(|_| too_large())?;
        let is_natural = token == node.base || node.fence == Some(fence);
        if is_natural || write(op, node, fence, raised).await? {
            node.fence = Some(fence);
            return Ok(());
        }
        raised = read(op.client, op.live, &op.claim.name).await?;
    }
    Err(ServerError::BadVersion)
}

fn too_large() -> Error {
    let message = "the ensemble's transaction ids are above 2^53: its epoch has passed 2^21";
    Error::new(ErrorKind::Exhausted, message)
        .hint("fencing tokens are below 2^53 so that Lua, JavaScript and SQL keep them: start a new ensemble")
}

/// Writes a raised token into the node of the claim and into the node that records it; whether no other client raised one
/// meanwhile.
async fn write(
    op: &ClaimOp<'_>,
    node: &mut Node,
    fence: FencingToken,
    raised: Raised,
) -> Result<bool, ServerError> {
    let (client, live) = (op.client, op.live);
    let path = path(client, &op.claim.name);
    let data = NodeData { fence: Some(fence), ..node.data.clone() };
    let highest = fence.get().max(raised.map_or(0, |(raised, _)| raised)).to_string();
    let fail = |error| ServerError::of(error, Effect::Writes);
    let mut writer = live.zk.new_multi_writer();
    writer.add_set_data(&node.path, &data.write(), None).map_err(fail)?;
    match raised {
        Some((_, version)) => writer.add_set_data(&path, highest.as_bytes(), Some(version)).map_err(fail)?,
        None => {
            let persistent = CreateMode::Persistent.with_acls(client.session.acls());
            writer.add_create(&path, highest.as_bytes(), &persistent).map_err(fail)?;
        }
    }
    let done = client.session.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| fail(failure.into())) {
        Ok(_) => {
            node.data = data;
            node.version += 1;
            Ok(true)
        }
        Err(ServerError::BadVersion | ServerError::NodeExists) => Ok(false),
        Err(other) => Err(other),
    }
}
