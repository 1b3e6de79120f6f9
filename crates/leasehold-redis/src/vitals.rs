//! Who a server is.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};
use redis::{Value, cmd};

use crate::{connection::Node, enrol::MARKER, reply, safety::masters, script::Script, session::Session};

/// Asks the server; of a Cluster, the first master.
pub(crate) async fn server_info(session: &Session) -> Result<ServerInfo> {
    session.refuse_closed()?;
    ask(&*first_master(session).await?, session.options.membership.is_some(), session.options.timeout).await
}

/// Gives a member its vote at once.
pub(crate) async fn promote(session: &Session) -> Result<()> {
    session.refuse_closed()?;
    let script = Script::new(include_str!("../scripts/member/vouch.lua"));
    let calls = [script.load(), script.call([MARKER].into_iter())];
    let mut replies = first_master(session).await?.call(&calls, session.options.timeout).await?;
    match replies.pop() {
        Some(Ok(Value::Int(1))) => Ok(()),
        Some(Err(refusal)) => Err(refusal.into_error()),
        _ => Err(Error::new(ErrorKind::Unsupported, "it is no member of a quorum")),
    }
}

async fn first_master(session: &Session) -> Result<Arc<Node>> {
    let none = || Error::new(ErrorKind::Unreachable, "there is no master to ask");
    masters(session).await?.into_iter().next().ok_or_else(none)
}

async fn ask(node: &Node, is_member: bool, limit: Duration) -> Result<ServerInfo> {
    let (mut server, mut replication, mut marker) = (cmd("INFO"), cmd("INFO"), cmd("GET"));
    server.arg("server");
    replication.arg("replication");
    marker.arg(MARKER);
    let mut questions = vec![server, replication, cmd("TIME")];
    if is_member {
        questions.push(marker);
    }
    let mut replies = node.call(&questions, limit).await?.into_iter();
    let mut next = || replies.next().unwrap_or(Ok(Value::Nil)).map_err(crate::refusal::Refusal::into_error);
    let (server, replication, wall_us) = (lines(&next()?)?, lines(&next()?)?, clock_us(next()?)?);
    let remembers_for = match is_member {
        true => remembered(&lines(&next()?)?, wall_us),
        false => Duration::MAX,
    };
    Ok(ServerInfo {
        server: field(&server, "run_id").unwrap_or_default().into(),
        lineage: field(&replication, "master_replid").map(Arc::from),
        remembers_for,
        wall_us,
    })
}

/// For how long nothing was forgotten, by the marker; without one, everything may be.
fn remembered(marker: &str, wall_us: u64) -> Duration {
    let since_ms = marker.split(' ').next().and_then(|since| since.parse::<u64>().ok());
    since_ms
        .map_or(Duration::ZERO, |since_ms| Duration::from_millis((wall_us / 1000).saturating_sub(since_ms)))
}

fn lines(value: &Value) -> Result<String> {
    Ok(reply::text(Some(value))?.unwrap_or_default())
}

/// One field of INFO.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The reply of TIME.
pub(crate) fn clock_us(value: Value) -> Result<u64> {
    let parts = reply::list(value, "seconds and microseconds")?;
    let part =
        |at: usize| reply::number(parts.get(at)).map(|number| u64::try_from(number).unwrap_or_default());
    Ok(part(0)?.saturating_mul(1_000_000).saturating_add(part(1)?))
}
