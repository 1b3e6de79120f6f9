//! [`doctor`]: what an operator should know of a store before locks rely on it.

use leasehold_core::{Env, Finding, Result};

use crate::{
    StoreUrl,
    url::{Place, open_quorum},
};

/// Looks at a store's configuration and state and says what matters for locks, the worst first. Nothing is written,
/// but for the marker by which a member of a quorum is kept account of.
///
/// For Redis, every master is looked at; what the user may not look at is a finding. For Memcached, the server is asked
/// how it was started and what it has forgotten. For ZooKeeper and etcd, every member that is named is asked, and one of
/// them for the whole: how many may fail, who is let in, what is near its limit. Of stores that vote each is looked at, and
/// then all together: who has a vote, and whose clock is off. In memory and in SQLite there is nothing to be configured,
/// which is one green finding, without I/O.
///
/// # Errors
/// [`ErrorKind::Unreachable`](crate::ErrorKind) and the like when the servers do not answer,
/// [`ErrorKind::Rejected`](crate::ErrorKind) for a login that is not accepted,
/// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that this build does not have.
///
/// # Cancel safety
/// Cancel safe.
pub async fn doctor(url: &StoreUrl) -> Result<Vec<Finding>> {
    let env = Env::system()?;
    match &url.place {
        Place::Memory { .. } => Ok(nothing(url, "its locks end with the process that has them")),
        Place::Sqlite { .. } => {
            Ok(nothing(url, "a file that is not safe for locks is refused when it is opened"))
        }
        #[cfg(feature = "redis")]
        Place::Redis { .. }
        | Place::RedisUnix { .. }
        | Place::RedisSentinel { .. }
        | Place::RedisCluster { .. } => {
            let store = leasehold_redis::RedisStore::new(crate::url::redis_options(url)?, env)?;
            let findings = store.diagnose().await;
            // It holds nothing; what it watches its servers with ends.
            let _ = leasehold_core::Store::close(&store).await;
            findings
        }
        #[cfg(feature = "memcached")]
        Place::Memcached { .. } => {
            let store = leasehold_memcached::MemcachedStore::new(crate::url::memcached_options(url)?, env)?;
            let findings = store.diagnose().await;
            // It holds nothing.
            let _ = leasehold_core::Store::close(&store).await;
            findings
        }
        #[cfg(feature = "zookeeper")]
        Place::ZooKeeper { .. } => {
            let options = crate::url::zookeeper_options(url)?;
            let store = leasehold_zookeeper::ZooKeeperStore::open(options, env).await?;
            let findings = store.diagnose().await;
            // It holds nothing; its session ends.
            let _ = leasehold_core::Store::close(&store).await;
            findings
        }
        #[cfg(feature = "etcd")]
        Place::Etcd { .. } => {
            let store = leasehold_etcd::EtcdStore::new(crate::url::etcd_options(url)?, env)?;
            let findings = store.diagnose().await;
            // It holds nothing.
            let _ = leasehold_core::Store::close(&store).await;
            findings
        }
        Place::Redlock { .. } | Place::Quorum { .. } => quorum(url, &env).await,
        // What this build does not have is refused when it is opened.
        #[cfg(not(all(feature = "redis", feature = "memcached", feature = "zookeeper", feature = "etcd")))]
        _ => crate::url::open(url, &env).await.map(|_| Vec::new()),
    }
}

/// Every member by itself, and then all of them together.
async fn quorum(url: &StoreUrl, env: &Env) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for member in crate::url::quorum_members(url)? {
        match Box::pin(doctor(&member)).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::critical(
                member.to_string(),
                format!("it does not answer: {error}"),
                "while it is down, one less of the others may fail",
                "bring it back, or find out why it cannot be reached",
            )),
        }
    }
    let quorum = match open_quorum(url, env).await {
        Ok(quorum) => quorum,
        Err(error) => {
            findings.push(Finding::critical(
                url.scheme(),
                error.to_string(),
                "locks on it are refused",
                error.hint_text().unwrap_or("name independent servers, each once"),
            ));
            findings.sort_by_key(|finding| finding.severity);
            return Ok(findings);
        }
    };
    findings.extend(quorum.diagnose().await);
    // It holds nothing.
    let _ = leasehold_core::Store::close(&quorum).await;
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

fn nothing(url: &StoreUrl, why: &str) -> Vec<Finding> {
    let scheme = url.scheme();
    vec![Finding::ok(scheme, format!("there is nothing to check for {scheme}:"), why)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Severity};

    #[tokio::test]
    async fn stores_without_settings_have_nothing_to_check() {
        for (url, says) in [
            ("memory:", "nothing to check for memory:"),
            ("sqlite:no/such/directory/x.db", "nothing to check for sqlite:"),
        ] {
            let findings = doctor(&url.parse().unwrap()).await.unwrap();
            assert!(findings.len() == 1 && findings[0].severity == Severity::Ok, "{findings:?}");
            assert!(findings[0].what.contains(says), "{findings:?}");
        }
        // Nobody listens at port 1.
        let error = doctor(&"etcd://127.0.0.1:1?timeout=300ms".parse().unwrap()).await.unwrap_err();
        let kind = if cfg!(feature = "etcd") { ErrorKind::Unreachable } else { ErrorKind::Unsupported };
        assert_eq!(error.kind(), kind);
    }
}
