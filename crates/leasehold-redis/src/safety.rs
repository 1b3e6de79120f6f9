//! Whether the servers may be trusted with locks, as far as one look at each can tell.

use std::sync::Arc;

use leasehold_core::{Error, ErrorKind, Result};
use redis::cmd;

use crate::{connection::Node, reply::text, session::Session};

/// All masters, if they are found in time.
pub(crate) async fn masters(session: &Session) -> Result<Vec<Arc<Node>>> {
    let until = session.env.now() + session.options.timeout;
    let masters = session.env.until(until, session.router.topology.masters()).await;
    masters.unwrap_or_else(|| {
        Err(Error::new(ErrorKind::TimedOut, "no master was found in time").hint("are the servers running?"))
    })
}

/// Looks at every master, when a store is opened.
pub(crate) async fn check(session: &Session) -> Result<()> {
    for node in masters(session).await? {
        let mut info = cmd("INFO");
        info.arg("memory");
        let mut replies = node.call(&[info], session.options.timeout).await?;
        let memory = match replies.pop() {
            Some(Ok(value)) => text(Some(&value))?.unwrap_or_default(),
            // Without the right to look nothing can be said, and locks can still be taken.
            Some(Err(refusal)) if refusal.code == "NOPERM" => continue,
            Some(Err(refusal)) => return Err(refusal.into_error()),
            None => continue,
        };
        let Some(policy) = evicts(&memory) else { continue };
        let message = format!(
            "{} may evict locks when its memory is full (maxmemory-policy {policy})",
            node.endpoint()
        );
        if session.options.strict {
            return Err(Error::new(ErrorKind::Unsafe, message)
                .hint("set maxmemory-policy to noeviction, or give locks a server of their own"));
        }
        tracing::warn!(store = %session.options.url, "{message}: set maxmemory-policy to noeviction");
    }
    Ok(())
}

/// The policy by which a server with a limit throws keys out that have a time to live, as locks do.
pub(crate) fn evicts(info: &str) -> Option<&str> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let limited = field("maxmemory").is_some_and(|limit| limit.trim() != "0");
    let policy = field("maxmemory_policy").map(str::trim)?;
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
