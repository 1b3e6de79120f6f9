//! From a URL to its store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Result, Store, layer::Prefix, memory::Memory};

use super::{Place, StoreUrl};

/// Opens the store of a URL, with its prefix around it.
pub(crate) async fn open(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    let store = bare(url, env).await?;
    Ok(match &url.settings.prefix {
        Some(prefix) => Arc::new(Prefix::new(store, prefix)),
        None => store,
    })
}

/// Opens a store that is to vote in a quorum of `members`. One that is reached over a network is not asked yet, and a file
/// that cannot be reached is opened later: a quorum is of use while a minority of it is down.
pub(crate) async fn open_member(
    url: &StoreUrl,
    members: usize,
    longest_lease: Duration,
    env: &Env,
) -> Result<Arc<dyn Store>> {
    let store = match &url.place {
        #[cfg(feature = "redis")]
        Place::Redis { .. } | Place::RedisUnix { .. } | Place::RedisSentinel { .. } => {
            let mut options = super::redis::options(url)?;
            options.membership =
                Some(leasehold_redis::QuorumMembership { members: members as u32, longest_lease });
            Arc::new(leasehold_redis::RedisStore::new(options, env.clone())?) as Arc<dyn Store>
        }
        #[cfg(feature = "zookeeper")]
        Place::ZooKeeper { .. } => {
            let options = super::zookeeper::options(url)?;
            Arc::new(leasehold_zookeeper::ZooKeeperStore::new(options, env.clone())?)
        }
        #[cfg(feature = "etcd")]
        Place::Etcd { .. } => {
            let options = super::etcd::options(url)?;
            Arc::new(leasehold_etcd::EtcdStore::new(options, env.clone())?)
        }
        #[cfg(feature = "sqlite")]
        Place::Sqlite { .. } => match bare(url, env).await {
            Err(error) if error.is_transient() => deferred(url, env),
            opened => opened?,
        },
        _ => {
            let _ = (members, longest_lease);
            bare(url, env).await?
        }
    };
    Ok(match &url.settings.prefix {
        Some(prefix) => Arc::new(Prefix::new(store, prefix)),
        None => store,
    })
}

async fn bare(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    match &url.place {
        Place::Memory { name } => Ok(Arc::new(memory(name, env))),
        Place::Sqlite { path } => sqlite(url, path, env).await,
        Place::Redis { .. }
        | Place::RedisUnix { .. }
        | Place::RedisSentinel { .. }
        | Place::RedisCluster { .. } => redis(url, env).await,
        Place::Memcached { .. } => memcached(url, env).await,
        Place::ZooKeeper { .. } => zookeeper(url, env).await,
        Place::Etcd { .. } => etcd(url, env).await,
        Place::Redlock { .. } | Place::Quorum { .. } => {
            Ok(Arc::new(Box::pin(super::quorum::open(url, env)).await?) as Arc<dyn Store>)
        }
    }
}

/// All clients of one name in one process are clients of the same locks.
fn memory(name: &str, env: &Env) -> Memory {
    static MEMORIES: Mutex<BTreeMap<String, Memory>> = Mutex::new(BTreeMap::new());
    let mut memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
    memories.entry(name.to_string()).or_insert_with(|| Memory::new(env.clone())).client()
}

/// Opening may wait for others who write: on a thread of its own, for the caller's has other tasks.
#[cfg(feature = "sqlite")]
async fn sqlite(url: &StoreUrl, path: &std::path::Path, env: &Env) -> Result<Arc<dyn Store>> {
    let mut options = leasehold_sqlite::SqliteOptions::default();
    options.timeout = url.settings.timeout.unwrap_or(options.timeout);
    let (path, env) = (path.to_path_buf(), env.clone());
    let (answer, opened) = tokio::sync::oneshot::channel();
    let open = move || {
        // Who asked may have gone; the store is closed by its drop then.
        let _ = answer.send(leasehold_sqlite::SqliteStore::open_with(path, env, options));
    };
    let no_thread = |source: std::io::Error| {
        Error::new(ErrorKind::Exhausted, "the thread that opens the store cannot be started").source(source)
    };
    std::thread::Builder::new().name("leasehold-open".into()).spawn(open).map_err(no_thread)?;
    let gone = |_| Error::new(ErrorKind::Closed, "the thread that opens the store has ended");
    Ok(Arc::new(opened.await.map_err(gone)??))
}

/// A file whose disk is not there yet.
#[cfg(feature = "sqlite")]
fn deferred(url: &StoreUrl, env: &Env) -> Arc<dyn Store> {
    let (place, env) = (url.clone(), env.clone());
    let open = move || {
        let (place, env) = (place.clone(), env.clone());
        Box::pin(async move { bare(&place, &env).await }) as leasehold_core::BoxFuture<'static, _>
    };
    let capability = leasehold_sqlite::SqliteStore::CAPABILITY;
    Arc::new(super::lazy::LazyStore::new(url.to_string(), capability, open))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(url: &StoreUrl, _path: &std::path::Path, _env: &Env) -> Result<Arc<dyn Store>> {
    let message = "leasehold was built without its SQLite store";
    Err(Error::new(ErrorKind::Unsupported, message)
        .store(url.to_string())
        .hint("enable the cargo feature `sqlite` of the crate `leasehold`"))
}

#[cfg(feature = "redis")]
async fn redis(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    let options = super::redis::options(url)?;
    Ok(Arc::new(leasehold_redis::RedisStore::open(options, env.clone()).await?))
}

#[cfg(not(feature = "redis"))]
async fn redis(url: &StoreUrl, _env: &Env) -> Result<Arc<dyn Store>> {
    Err(Error::new(ErrorKind::Unsupported, "leasehold was built without its Redis store")
        .store(url.to_string())
        .hint("enable the cargo feature `redis` of the crate `leasehold`"))
}

#[cfg(feature = "memcached")]
async fn memcached(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    let options = super::memcached::options(url)?;
    Ok(Arc::new(leasehold_memcached::MemcachedStore::open(options, env.clone()).await?))
}

#[cfg(not(feature = "memcached"))]
async fn memcached(url: &StoreUrl, _env: &Env) -> Result<Arc<dyn Store>> {
    Err(Error::new(ErrorKind::Unsupported, "leasehold was built without its Memcached store")
        .store(url.to_string())
        .hint("enable the cargo feature `memcached` of the crate `leasehold`"))
}

#[cfg(feature = "zookeeper")]
async fn zookeeper(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    let options = super::zookeeper::options(url)?;
    Ok(Arc::new(leasehold_zookeeper::ZooKeeperStore::open(options, env.clone()).await?))
}

#[cfg(not(feature = "zookeeper"))]
async fn zookeeper(url: &StoreUrl, _env: &Env) -> Result<Arc<dyn Store>> {
    Err(Error::new(ErrorKind::Unsupported, "leasehold was built without its ZooKeeper store")
        .store(url.to_string())
        .hint("enable the cargo feature `zookeeper` of the crate `leasehold`"))
}

#[cfg(feature = "etcd")]
async fn etcd(url: &StoreUrl, env: &Env) -> Result<Arc<dyn Store>> {
    let options = super::etcd::options(url)?;
    Ok(Arc::new(leasehold_etcd::EtcdStore::open(options, env.clone()).await?))
}

#[cfg(not(feature = "etcd"))]
async fn etcd(url: &StoreUrl, _env: &Env) -> Result<Arc<dyn Store>> {
    Err(Error::new(ErrorKind::Unsupported, "leasehold was built without its etcd store")
        .store(url.to_string())
        .hint("enable the cargo feature `etcd` of the crate `leasehold`"))
}
