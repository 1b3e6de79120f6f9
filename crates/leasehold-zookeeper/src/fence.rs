//! Fencing tokens: the number of the transaction that gave a claim its place, or more where a floor asks for it.

use leasehold_core::{ErrorKind, FencingToken, Result};
use zookeeper_client::{CreateMode, Error as Foreign, Stat};

use crate::{
    claim::Asking,
    refusal::{Effect, Refusal},
    registry::Node,
    slip::Slip,
};

/// How often a raised token is written anew because somebody else wrote one meanwhile.
const ROUNDS_MAX: usize = 16;

/// The highest token that a floor has raised for this name, and the version of the node that says so; `None` where no
/// floor ever did.
pub(crate) fn read(asked: Result<(Vec<u8>, Stat), Foreign>) -> Result<Option<(u64, i32)>, Refusal> {
    match asked.map_err(|foreign| Refusal::of(foreign, Effect::Reads)) {
        Ok((data, stat)) => {
            let text = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
            let odd = || {
                leasehold_core::Error::new(ErrorKind::Corrupt, "the node of the fencing counter is no number")
            };
            Ok(Some((text.ok_or_else(odd)?, stat.version)))
        }
        Err(Refusal::NoNode) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Gives the node its token: the one it has, or a new one above all that were granted, and not below the floor.
pub(crate) async fn settle(
    asking: &Asking<'_>,
    node: &mut Node,
    raised: Option<(u64, i32)>,
) -> Result<(), Refusal> {
    let mut raised = raised;
    for _ in 0..ROUNDS_MAX {
        let floor = asking.claim.fence_floor.map_or(0, FencingToken::get);
        let own = match node.fence {
            Some(fence) => fence.get(),
            None => node.base.max(raised.map_or(0, |(raised, _)| raised + 1)),
        };
        let token = own.max(floor);
        let fence = FencingToken::new(token).map_err(too_large)?;
        let is_natural = token == node.base || node.fence == Some(fence);
        if is_natural || write(asking, node, fence, raised).await? {
            node.fence = Some(fence);
            return Ok(());
        }
        let path = asking.shared.paths.fence(&asking.claim.name);
        let asked = asking.live.client.get_data(&path);
        raised = read(asking.shared.link.in_time(Effect::Reads, asked).await?)?;
    }
    Err(Refusal::BadVersion)
}

fn too_large(_: leasehold_core::Error) -> leasehold_core::Error {
    let message = "the ensemble's transaction numbers are above 2^53: its epoch has passed 2^21";
    leasehold_core::Error::new(ErrorKind::Exhausted, message)
        .hint("fencing tokens are below 2^53 so that Lua, JavaScript and SQL keep them: start a new ensemble")
}

/// Writes a token that is not the number of a transaction into the node, and as the least that comes after it; whether
/// nobody else did so meanwhile.
async fn write(
    asking: &Asking<'_>,
    node: &mut Node,
    fence: FencingToken,
    raised: Option<(u64, i32)>,
) -> Result<bool, Refusal> {
    let (shared, live) = (asking.shared, asking.live);
    let path = shared.paths.fence(&asking.claim.name);
    let slip = Slip { fence: Some(fence), ..node.slip.clone() };
    let highest = fence.get().max(raised.map_or(0, |(raised, _)| raised)).to_string();
    let fail = |foreign| Refusal::of(foreign, Effect::Writes);
    let mut writer = live.client.new_multi_writer();
    writer.add_set_data(&node.path, &slip.write(), None).map_err(fail)?;
    match raised {
        Some((_, version)) => writer.add_set_data(&path, highest.as_bytes(), Some(version)).map_err(fail)?,
        None => {
            let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
            shared.make(live, above).await?;
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
        Err(Refusal::BadVersion | Refusal::NodeExists) => Ok(false),
        Err(other) => Err(other),
    }
}
