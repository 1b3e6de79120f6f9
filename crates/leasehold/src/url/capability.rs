//! From a URL to what its store can do, without asking it.

use leasehold_core::{Capability, Error, ErrorKind, Result, memory::Memory};

use super::{Place, StoreUrl};

/// What the store of a URL can do. Where its servers have a say in it, what it can do if they agree.
pub(crate) fn of(url: &StoreUrl) -> Result<Capability> {
    match &url.place {
        Place::Memory { .. } => Ok(Memory::CAPABILITY),
        #[cfg(feature = "sqlite")]
        Place::Sqlite { .. } => Ok(leasehold_sqlite::SqliteOptions::default().capability()),
        #[cfg(feature = "redis")]
        Place::Redis { .. }
        | Place::RedisUnix { .. }
        | Place::RedisSentinel { .. }
        | Place::RedisCluster { .. } => super::redis::options(url).map(|options| options.capability()),
        #[cfg(feature = "memcached")]
        Place::Memcached { .. } => super::memcached::options(url).map(|options| options.capability()),
        #[cfg(feature = "zookeeper")]
        Place::ZooKeeper { .. } => super::zookeeper::options(url).map(|options| options.capability()),
        #[cfg(feature = "etcd")]
        Place::Etcd { .. } => super::etcd::options(url).map(|options| options.capability()),
        Place::Redlock { .. } | Place::Quorum { .. } => super::quorum::capability(url),
        #[allow(unreachable_patterns, reason = "with all features there is no other place")]
        _ => {
            let message = format!("leasehold was built without its {} store", url.scheme());
            let hint = "enable the cargo feature of this store of the crate `leasehold`";
            Err(Error::new(ErrorKind::Unsupported, message).store(url.to_string()).hint(hint))
        }
    }
}
