//! The check of every master's configuration when a store is opened.

use leasehold_core::{Error, ErrorKind, Result};
use redis::cmd;

use crate::{
    client::ClientState,
    format::{info_field, next, text},
};

/// Warns of a master that may evict locks, or refuses it if `strict` is set.
pub(crate) async fn check(state: &ClientState) -> Result<()> {
    for node in state.router.masters(state.options.timeout).await? {
        let info = cmd("INFO").arg("memory").to_owned();
        let memory = match node.call(&[info], state.options.timeout).await?.pop() {
            // A user without the right to INFO can take locks all the same.
            Some(Err(error)) if error.code == "NOPERM" => continue,
            reply => text(&next(&mut reply.into_iter())?)?,
        };
        let Some(policy) = evicts(&memory) else { continue };
        let message =
            format!("{} may evict locks when its memory is full (maxmemory-policy {policy})", node.endpoint);
        if state.options.strict {
            return Err(Error::new(ErrorKind::Unsafe, message)
                .hint("set maxmemory-policy to noeviction, or give locks a server of their own"));
        }
        tracing::warn!(store = %state.options.url, "{message}: set maxmemory-policy to noeviction");
    }
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
