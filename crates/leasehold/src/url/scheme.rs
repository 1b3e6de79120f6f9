//! The schemes and keys there are, and which goes with which.

use super::{Place, percent::nearest};
use leasehold_core::{Error, ErrorKind, Result};

/// A kind of store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Memory,
    Sqlite,
    Redis { tls: bool },
    RedisUnix,
    RedisSentinel { tls: bool },
    RedisCluster { tls: bool },
    Redlock,
    Memcached,
    ZooKeeper,
    Etcd { tls: bool },
    Quorum,
}

/// A setting of the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Prefix,
    Dialect,
    Ttl,
    Timeout,
    MinReplicas,
    LongestLease,
    Strict,
    Ca,
    Resp,
    Template,
}

/// All spellings; the first of a scheme is the one that is printed.
const SCHEMES: [(&str, Scheme); 21] = [
    ("memory", Scheme::Memory),
    ("mem", Scheme::Memory),
    ("sqlite", Scheme::Sqlite),
    ("file", Scheme::Sqlite),
    ("redis", Scheme::Redis { tls: false }),
    ("valkey", Scheme::Redis { tls: false }),
    ("rediss", Scheme::Redis { tls: true }),
    ("valkeys", Scheme::Redis { tls: true }),
    ("redis+unix", Scheme::RedisUnix),
    ("valkey+unix", Scheme::RedisUnix),
    ("redis+sentinel", Scheme::RedisSentinel { tls: false }),
    ("rediss+sentinel", Scheme::RedisSentinel { tls: true }),
    ("redis+cluster", Scheme::RedisCluster { tls: false }),
    ("rediss+cluster", Scheme::RedisCluster { tls: true }),
    ("redlock", Scheme::Redlock),
    ("memcached", Scheme::Memcached),
    ("zookeeper", Scheme::ZooKeeper),
    ("zk", Scheme::ZooKeeper),
    ("etcd", Scheme::Etcd { tls: false }),
    ("etcds", Scheme::Etcd { tls: true }),
    ("quorum", Scheme::Quorum),
];

const KEYS: [(&str, Key); 10] = [
    ("prefix", Key::Prefix),
    ("dialect", Key::Dialect),
    ("ttl", Key::Ttl),
    ("timeout", Key::Timeout),
    ("min_replicas", Key::MinReplicas),
    ("longest_lease", Key::LongestLease),
    ("strict", Key::Strict),
    ("ca", Key::Ca),
    ("resp", Key::Resp),
    ("template", Key::Template),
];

impl Scheme {
    /// Finds a scheme by its name. `shown` is the name if it may be shown.
    pub(super) fn find(name: &str, shown: bool) -> Result<Scheme> {
        let lower = name.to_ascii_lowercase();
        if let Some((_, scheme)) = SCHEMES.iter().find(|(known, _)| *known == lower) {
            return Ok(*scheme);
        }
        let known = "memory, sqlite, redis, rediss, redis+unix, redis+sentinel, redis+cluster, redlock, memcached, zookeeper, etcd, etcds, quorum";
        let message = match nearest(&lower, SCHEMES.iter().map(|(known, _)| *known)) {
            _ if !shown => "the store URL begins with no scheme that is known".to_string(),
            Some(near) => {
                format!("unknown store scheme `{}`: did you mean `{near}`?", name.escape_debug())
            }
            None => format!("unknown store scheme `{}`", name.escape_debug()),
        };
        Err(Error::new(ErrorKind::Invalid, message).hint(format!("known schemes: {known}")))
    }

    pub(super) fn label(self) -> &'static str {
        SCHEMES.iter().find(|(_, scheme)| *scheme == self).map_or("", |(label, _)| label)
    }

    /// The port of those who name none.
    pub(super) fn port(self) -> u16 {
        match self {
            Scheme::RedisSentinel { .. } => 26379,
            Scheme::Memcached => 11211,
            Scheme::ZooKeeper => 2181,
            Scheme::Etcd { .. } => 2379,
            _ => 6379,
        }
    }

    /// Whether the scheme has a use for a key.
    fn takes(self, key: Key) -> bool {
        let is_redis = matches!(
            self,
            Scheme::Redis { .. }
                | Scheme::RedisUnix
                | Scheme::RedisSentinel { .. }
                | Scheme::RedisCluster { .. }
        );
        match key {
            Key::Prefix | Key::Ttl | Key::Timeout => true,
            Key::LongestLease => matches!(self, Scheme::Redlock | Scheme::Quorum),
            Key::Strict => is_redis || self == Scheme::Memcached,
            Key::MinReplicas | Key::Resp | Key::Template => is_redis,
            Key::Ca => matches!(
                self,
                Scheme::Redis { tls: true }
                    | Scheme::RedisSentinel { tls: true }
                    | Scheme::RedisCluster { tls: true }
                    | Scheme::Etcd { tls: true }
            ),
            Key::Dialect => {
                is_redis || matches!(self, Scheme::Redlock | Scheme::Memcached | Scheme::ZooKeeper)
            }
        }
    }
}

impl Key {
    /// Finds the key of a query by its name, for a scheme.
    pub(super) fn find(name: &str, scheme: Scheme) -> Result<Key> {
        let label = scheme.label();
        let taken = KEYS.iter().filter(|(_, key)| scheme.takes(*key)).map(|(name, _)| *name);
        let hint = format!("`{label}` takes {}", taken.collect::<Vec<_>>().join(", "));
        let message = match KEYS.iter().find(|(known, _)| *known == name) {
            Some((_, key)) if scheme.takes(*key) => return Ok(*key),
            Some(_) => format!("`{label}` has no use for the key `{name}`"),
            None => match nearest(name, KEYS.iter().map(|(known, _)| *known)) {
                Some(near) => format!("unknown key `{}`: did you mean `{near}`?", name.escape_debug()),
                None => format!("unknown key `{}`", name.escape_debug()),
            },
        };
        Err(Error::new(ErrorKind::Invalid, message).hint(hint))
    }
}

impl Place {
    pub(super) fn scheme(&self) -> Scheme {
        match *self {
            Place::Memory { .. } => Scheme::Memory,
            Place::Sqlite { .. } => Scheme::Sqlite,
            Place::Redis { tls, .. } => Scheme::Redis { tls },
            Place::RedisUnix { .. } => Scheme::RedisUnix,
            Place::RedisSentinel { tls, .. } => Scheme::RedisSentinel { tls },
            Place::RedisCluster { tls, .. } => Scheme::RedisCluster { tls },
            Place::Redlock { .. } => Scheme::Redlock,
            Place::Memcached { .. } => Scheme::Memcached,
            Place::ZooKeeper { .. } => Scheme::ZooKeeper,
            Place::Etcd { tls, .. } => Scheme::Etcd { tls },
            Place::Quorum { .. } => Scheme::Quorum,
        }
    }
}
