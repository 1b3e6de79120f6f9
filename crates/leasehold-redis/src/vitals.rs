//! Who a server is.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, Vitals};
use redis::{Value, cmd};

use crate::{connection::Node, reply, safety::masters, session::Session};

/// Asks the server; of a Cluster, the first master.
pub(crate) async fn vitals(session: &Session) -> Result<Vitals> {
    session.refuse_closed()?;
    let none = || Error::new(ErrorKind::Unreachable, "there is no master to ask");
    let node = masters(session).await?.into_iter().next().ok_or_else(none)?;
    ask(&node, session.options.timeout).await
}

async fn ask(node: &Node, limit: Duration) -> Result<Vitals> {
    let (mut server, mut replication) = (cmd("INFO"), cmd("INFO"));
    server.arg("server");
    replication.arg("replication");
    let mut replies = node.call(&[server, replication, cmd("TIME")], limit).await?.into_iter();
    let mut next = || replies.next().unwrap_or(Ok(Value::Nil)).map_err(crate::refusal::Refusal::into_error);
    let (server, replication, time) = (lines(&next()?)?, lines(&next()?)?, next()?);
    Ok(Vitals {
        server: field(&server, "run_id").unwrap_or_default().into(),
        lineage: field(&replication, "master_replid").map(Arc::from),
        remembers_for: Duration::MAX,
        wall_us: clock_us(time)?,
    })
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
