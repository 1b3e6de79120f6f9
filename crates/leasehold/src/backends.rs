//! The kinds of stores. Adding one adds a line to [`BACKENDS`], and its Cargo feature.

mod memory;
mod quorum;

pub(crate) use quorum::promote;

use std::sync::Arc;

use leasehold_core::{
    Capability, Env, ErrorKind, Result, Store,
    backend::{Backend, BackendEntry, QuorumMembership, Registry},
    layer::Prefix,
    url::ParsedUrl,
};

/// An optional store: its feature, its name, its crate, and the URL schemes by which it is known where it is not built in.
macro_rules! store {
    ($feature:tt, $title:literal, $krate:ident, $schemes:expr) => {
        BackendEntry {
            title: $title,
            feature: $feature,
            schemes: $schemes,
            #[cfg(feature = $feature)]
            backend: Some(&$krate::BACKEND),
            #[cfg(not(feature = $feature))]
            backend: None,
        }
    };
}

/// All kinds of stores, in the order in which they are listed.
#[rustfmt::skip]
pub(crate) static BACKENDS: Registry = Registry(&[
    BackendEntry { title: "memory", feature: "", schemes: &[], backend: Some(&memory::BACKEND) },
    store!("sqlite", "SQLite", leasehold_sqlite, &["sqlite", "file"]),
    store!("redis", "Redis", leasehold_redis, &[
        "redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
        "valkey", "valkeys", "valkey+unix",
    ]),
    BackendEntry { title: "quorum", feature: "", schemes: &[], backend: Some(&quorum::BACKEND) },
    store!("memcached", "Memcached", leasehold_memcached, &["memcached"]),
    store!("zookeeper", "ZooKeeper", leasehold_zookeeper, &["zookeeper", "zk", "zookeepers", "zks"]),
    store!("etcd", "etcd", leasehold_etcd, &["etcd", "etcds"]),
    store!("postgres", "PostgreSQL", leasehold_postgres, &["postgres", "postgresql"]),
]);

/// Opens a store, with the prefix of its URL before every name.
pub(crate) async fn open(
    backend: &Backend,
    url: &ParsedUrl,
    membership: Option<QuorumMembership>,
    env: &Env,
) -> Result<Arc<dyn Store>> {
    let store = (backend.open)(url, membership, env).await?;
    Ok(match url.options.prefix() {
        Some(prefix) => Arc::new(Prefix::new(store, prefix)),
        None => store,
    })
}

/// Every kind of store that is built in: an example of its URL, and its capability. No I/O.
///
/// ```
/// for (url, capability) in leasehold::store::stores().unwrap() {
///     println!("{url}: fair queue {}, lock-delay {}", capability.fifo, capability.lock_delay);
/// }
/// ```
///
/// # Errors
/// None that can be met: the URLs are good ones.
pub fn stores() -> Result<Vec<(&'static str, Capability)>> {
    let mut found = Vec::new();
    for text in BACKENDS.backends().flat_map(|backend| backend.examples) {
        let url = ParsedUrl::parse(text, &BACKENDS)?;
        match (BACKENDS.find(url.scheme.name, true)?.0.capability)(&url) {
            Ok(capability) => found.push((*text, capability)),
            // `redlock://` without Redis.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::StoreUrl;

    #[test]
    fn a_store_is_known_by_the_schemes_that_it_has() {
        for entry in BACKENDS.0.iter().filter(|entry| !entry.feature.is_empty()) {
            let Some(backend) = entry.backend else { continue };
            let mut known = entry.schemes.to_vec();
            let mut built_in: Vec<_> = backend.schemes.iter().flat_map(|scheme| scheme.names()).collect();
            known.sort_unstable();
            built_in.sort_unstable();
            assert_eq!(known, built_in, "{}", entry.title);
        }
    }

    #[test]
    fn a_store_that_is_not_built_in_is_refused_with_its_feature() {
        for entry in BACKENDS.0.iter().filter(|entry| entry.backend.is_none()) {
            for scheme in entry.schemes {
                let error = StoreUrl::parse(&format!("{scheme}://me:s3cret@host/x")).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{scheme}");
                assert!(error.hint_text().unwrap().contains(entry.feature), "{error:?}");
                assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
            }
        }
    }
}
