//! Fencing tokens: the number of the transaction that gave a claim its place, or more where a floor asks for it.

use leasehold_core::{ErrorKind, FencingToken, LockName, Result};
use zookeeper_client::{CreateMode, Error as ClientError, Stat};

use crate::{
    client::ClientState,
    error::{Effect, ServerError},
    format::NodeData,
    own_claims::Node,
    session::LiveSession,
    verbs::claim::ClaimOp,
};

/// How often a raised token is written anew because somebody else wrote one meanwhile.
const ROUNDS_MAX: usize = 16;

/// The highest token that a floor or a proposal has raised for a name, and the version of the node that says so.
pub(crate) type Raised = Option<(u64, i32)>;

/// Reads it, if it is among the children: where nothing ever raised a token, nothing is asked.
pub(crate) async fn among(
    shared: &ClientState,
    live: &LiveSession,
    lock: &LockName,
    children: &[String],
) -> Result<Raised, ServerError> {
    if !children.iter().any(|child| child == shared.dialect.fence()) {
        return Ok(None);
    }
    ask(shared, live, lock).await
}

pub(crate) async fn ask(
    shared: &ClientState,
    live: &LiveSession,
    lock: &LockName,
) -> Result<Raised, ServerError> {
    let path = shared.fence(lock);
    read(shared.link.in_time(Effect::Reads, live.client.get_data(&path)).await?)
}

fn read(asked: Result<(Vec<u8>, Stat), ClientError>) -> Result<Raised, ServerError> {
    match asked.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
        Ok((data, stat)) => {
            let text = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
            let odd = || {
                leasehold_core::Error::new(ErrorKind::Corrupt, "the node of the fencing counter is no number")
            };
            Ok(Some((text.ok_or_else(odd)?, stat.version)))
        }
        Err(ServerError::NoNode) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Gives the node its token: the one it has, or a new one above all that were granted, and not below the floor.
pub(crate) async fn settle(op: &ClaimOp<'_>, node: &mut Node, raised: Raised) -> Result<(), ServerError> {
    let mut raised = raised;
    // A place that was taken over has its token already, and keeps it; what is proposed is for a new grant.
    let is_new = node.fence.is_none() && node.slip.fence.is_none();
    let proposal = op.claim.fence_proposal.filter(|_| is_new);
    let floor = op.claim.fence_floor.max(proposal).map_or(0, FencingToken::get);
    for _ in 0..ROUNDS_MAX {
        let own = match node.fence {
            Some(fence) => fence.get(),
            None => node.base.max(raised.map_or(0, |(raised, _)| raised + 1)),
        };
        let token = own.max(floor);
        let fence = FencingToken::new(token).map_err(too_large)?;
        let is_natural = token == node.base || node.fence == Some(fence);
        if is_natural || write(op, node, fence, raised).await? {
            node.fence = Some(fence);
            return Ok(());
        }
        raised = ask(op.shared, op.live, &op.claim.name).await?;
    }
    Err(ServerError::BadVersion)
}

fn too_large(_: leasehold_core::Error) -> leasehold_core::Error {
    let message = "the ensemble's transaction numbers are above 2^53: its epoch has passed 2^21";
    leasehold_core::Error::new(ErrorKind::Exhausted, message)
        .hint("fencing tokens are below 2^53 so that Lua, JavaScript and SQL keep them: start a new ensemble")
}

/// Writes a token that is not the number of a transaction into the node, and as the least that comes after it; whether
/// nobody else did so meanwhile.
async fn write(
    op: &ClaimOp<'_>,
    node: &mut Node,
    fence: FencingToken,
    raised: Raised,
) -> Result<bool, ServerError> {
    let (shared, live) = (op.shared, op.live);
    let path = shared.fence(&op.claim.name);
    let slip = NodeData { fence: Some(fence), ..node.slip.clone() };
    let highest = fence.get().max(raised.map_or(0, |(raised, _)| raised)).to_string();
    let fail = |foreign| ServerError::of(foreign, Effect::Writes);
    let mut writer = live.client.new_multi_writer();
    writer.add_set_data(&node.path, &slip.write(), None).map_err(fail)?;
    match raised {
        Some((_, version)) => writer.add_set_data(&path, highest.as_bytes(), Some(version)).map_err(fail)?,
        None => {
            let stays = CreateMode::Persistent.with_acls(shared.link.acls());
            writer.add_create(&path, highest.as_bytes(), &stays).map_err(fail)?;
        }
    }
    let done = shared.link.in_time(Effect::Writes, writer.commit()).await?;
    match done.map_err(|failure| fail(failure.into())) {
        Ok(_) => {
            node.slip = slip;
            node.version += 1;
            Ok(true)
        }
        Err(ServerError::BadVersion | ServerError::NodeExists) => Ok(false),
        Err(other) => Err(other),
    }
}
