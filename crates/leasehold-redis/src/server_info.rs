//! Identity and memory of a server, and the promotion of a quorum's member.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};
use redis::{Value, cmd};

use crate::{
    client::ClientState,
    format::{Script, clock_us, first, info_field, text},
    quorum_membership::MARKER,
    transport::Node,
};

/// The identity of the server; of a Cluster, that of the first master.
pub(crate) async fn server_info(state: &ClientState) -> Result<ServerInfo> {
    let (mut server, mut replication, mut marker) = (cmd("INFO"), cmd("INFO"), cmd("GET"));
    server.arg("server");
    replication.arg("replication");
    marker.arg(MARKER);
    let is_member = state.options.membership.is_some();
    let mut commands = vec![server, replication, cmd("TIME")];
    commands.extend(is_member.then_some(marker));
    let mut replies = first_master(state).await?.call(&commands, state.options.timeout).await?;
    let (server, replication) = (lines(&first(&mut replies)?)?, lines(&first(&mut replies)?)?);
    let wall_us = clock_us(first(&mut replies)?)?;
    let remembers_for = match is_member {
        true => remembered(&lines(&first(&mut replies)?)?, wall_us),
        false => Duration::MAX,
    };
    Ok(ServerInfo {
        server: info_field(&server, "run_id").unwrap_or_default().into(),
        lineage: info_field(&replication, "master_replid").map(Arc::from),
        remembers_for,
        wall_us,
    })
}

/// Gives a member of a quorum its vote at once.
pub(crate) async fn promote(state: &ClientState) -> Result<()> {
    state.check_open()?;
    let script = Script::new(include_str!("../scripts/member/promote.lua"));
    let calls = [script.load(), script.call([MARKER])];
    match first_master(state).await?.call(&calls, state.options.timeout).await?.pop() {
        Some(Ok(Value::Int(1))) => Ok(()),
        Some(Err(error)) => Err(error.into()),
        _ => Err(Error::new(ErrorKind::Unsupported, "it is not a member of a quorum")),
    }
}

async fn first_master(state: &ClientState) -> Result<Arc<Node>> {
    let none = || Error::new(ErrorKind::Unreachable, "there is no master to ask");
    state.masters().await?.into_iter().next().ok_or_else(none)
}

/// The time for which nothing was forgotten, by the marker; none without a marker.
fn remembered(marker: &str, wall_us: u64) -> Duration {
    let since_ms = marker.split(' ').next().and_then(|since| since.parse::<u64>().ok());
    since_ms.map_or(Duration::ZERO, |since| Duration::from_millis((wall_us / 1000).saturating_sub(since)))
}

fn lines(value: &Value) -> Result<String> {
    Ok(text(Some(value))?.unwrap_or_default())
}
