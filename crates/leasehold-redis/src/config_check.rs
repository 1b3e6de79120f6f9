//! The check of every master's configuration when a store is opened.

use std::time::Duration;

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, Result};
use redis::cmd;

use crate::{
    client::Client,
    format::{info_field, next, text},
    transport::Node,
};

/// Warns of a master that may evict locks, or refuses it if `strict` is set. A master that does not answer is passed
/// over where the others or its Sentinels do, so that a failover or a dead shard keeps nobody out.
pub(crate) async fn check(client: &Client) -> Result<()> {
    let (topology, timeout) = (&client.router.topology, client.options.timeout);
    let may_pass = |error: &Error| error.is_transient() && !client.options.strict;
    let masters = match client.router.masters(timeout).await {
        Err(error) if may_pass(&error) && topology.knows_servers() => return Ok(()),
        masters => masters?,
    };
    // The living ones need not wait long for the others.
    let limit = if masters.len() > 1 && !client.options.strict { timeout / 4 } else { timeout };
    let checks = join_all(masters.iter().map(|node| check_master(client, node, limit))).await;
    let answers = checks.iter().any(Result::is_ok);
    for check in checks {
        match check {
            Err(error) if answers && may_pass(&error) => {
                tracing::warn!(store = %client.options.url, %error, "a master does not answer");
            }
            check => check?,
        }
    }
    Ok(())
}

async fn check_master(client: &Client, node: &Node, limit: Duration) -> Result<()> {
    let info = cmd("INFO").arg("memory").to_owned();
    let memory = match node.call(&[info], limit).await?.pop() {
        // Without INFO, be it forbidden or renamed, locks can be taken all the same.
        Some(Err(error)) if error.withholds_command() => return Ok(()),
        reply => text(&next(&mut reply.into_iter())?)?,
    };
    let Some(policy) = evicts(&memory) else { return Ok(()) };
    let message =
        format!("{} may evict locks when its memory is full (maxmemory-policy {policy})", node.endpoint);
    if client.options.strict {
        return Err(Error::new(ErrorKind::Unsafe, message)
            .hint("set maxmemory-policy to noeviction, or give locks a server of their own"));
    }
    tracing::warn!(store = %client.options.url, "{message}: set maxmemory-policy to noeviction");
    Ok(())
}

/// The eviction policy, if the server evicts keys that have a time to live, as locks do.
pub(crate) fn evicts(info: &str) -> Option<&str> {
    let limited = info_field(info, "maxmemory").is_some_and(|limit| limit != "0");
    let policy = info_field(info, "maxmemory_policy")?;
    (policy != "noeviction" && (limited || policy.starts_with("allkeys"))).then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_throw_out_locks_are_found() {
        let info = |limit: &str, policy: &str| {
            format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert_eq!(evicts(&info("0", "noeviction")), None);
        assert_eq!(evicts(&info("1000", "noeviction")), None);
        assert_eq!(evicts(&info("1000", "volatile-ttl")), Some("volatile-ttl"));
        assert_eq!(evicts(&info("0", "volatile-ttl")), None);
        assert_eq!(evicts(&info("0", "allkeys-lru")), Some("allkeys-lru"));
    }
}
