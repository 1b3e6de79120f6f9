//! [`StoreUrl`]: which store, where, and on what settings, in one line of text.

mod capability;
mod display;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "sqlite")]
mod lazy;
#[cfg(feature = "memcached")]
mod memcached;
mod open;
mod parse;
mod percent;
mod quorum;
#[cfg(feature = "redis")]
mod redis;
mod scheme;
#[cfg(test)]
mod tests;
#[cfg(feature = "zookeeper")]
mod zookeeper;

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use leasehold_core::{Capability, Error, Result};

#[cfg(feature = "etcd")]
pub(crate) use etcd::options as etcd_options;
#[cfg(feature = "memcached")]
pub(crate) use memcached::options as memcached_options;
pub(crate) use open::{open, open_member};
pub use quorum::promote;
pub(crate) use quorum::{members as quorum_members, open as open_quorum};
#[cfg(feature = "redis")]
pub(crate) use redis::{members as redis_members, options as redis_options};
#[cfg(feature = "zookeeper")]
pub(crate) use zookeeper::options as zookeeper_options;

/// Which store, where, and on what settings.
///
/// | URL | store |
/// |---|---|
/// | `memory:` `memory:NAME` | this process's memory; clients of one name meet |
/// | `sqlite:PATH` | a file, shared by the processes of one machine |
/// | `redis://[user:password@]host[:port][/database]` | one Redis server; `rediss://` over TLS |
/// | `redis+unix://PATH` | one Redis server, by its socket |
/// | `redis+sentinel://h1,h2,h3/master[/database]` | the master that Sentinel names |
/// | `redis+cluster://h1,h2` | a Redis Cluster, found through any of its nodes |
/// | `redlock://h1,h2,h3` | a majority of independent Redis servers |
/// | `memcached://host` | one Memcached server |
/// | `zookeeper://h1,h2[/chroot]` | a ZooKeeper ensemble |
/// | `etcd://h1,h2` | an etcd cluster; `etcds://` over TLS |
/// | `quorum:URL;URL;URL[;?query]` | a majority of any stores |
///
/// Query: `prefix=` before every name, `ttl=` and `timeout=` (durations such as `30s`, `500ms`, `2m`); for Redis also
/// `dialect=plain` with `template=redlock:*`, `min_replicas=`, `strict=true` (for Memcached too), `resp=2`, and over TLS
/// `ca=PATH`; for stores that vote `longest_lease=` (`timeout=` is for each member there). `file:` means `sqlite:`, `mem:`
/// `memory:`, `zk:` `zookeeper:` and `valkey:` `redis:`. Special characters are percent-encoded.
///
/// `Debug` and `Display` never show a password; [`StoreUrl::reveal`] does.
///
/// ```
/// let url: leasehold::StoreUrl = "redis://app:s3cret@db?ttl=10s".parse().unwrap();
/// assert_eq!(url.to_string(), "redis://app:***@db:6379?ttl=10s");
/// let error = leasehold::StoreUrl::parse("redsi://db").unwrap_err();
/// assert!(error.to_string().contains("did you mean `redis`?"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreUrl {
    /// Which store, and where.
    pub place: Place,
    /// On what settings.
    pub settings: Settings,
}

/// Which store, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Place {
    /// This process's memory.
    Memory {
        /// Which of them; empty for the one without a name.
        name: String,
    },
    /// An SQLite file.
    Sqlite {
        /// Where.
        path: PathBuf,
    },
    /// One Redis server, with whatever replicas it has.
    Redis {
        /// Whether to speak TLS.
        tls: bool,
        /// As whom.
        login: Login,
        /// Where.
        address: Address,
        /// Which of its databases.
        database: u32,
    },
    /// One Redis server, by its socket.
    RedisUnix {
        /// As whom.
        login: Login,
        /// The socket.
        path: PathBuf,
    },
    /// The Redis master that Sentinel names.
    RedisSentinel {
        /// Whether to speak TLS.
        tls: bool,
        /// As whom.
        login: Login,
        /// The Sentinels.
        addresses: Vec<Address>,
        /// The master's name.
        master: String,
        /// Which of its databases.
        database: u32,
    },
    /// A Redis Cluster.
    RedisCluster {
        /// Whether to speak TLS.
        tls: bool,
        /// As whom.
        login: Login,
        /// Some of its nodes.
        addresses: Vec<Address>,
    },
    /// Independent Redis servers that vote.
    Redlock {
        /// As whom.
        login: Login,
        /// All of them.
        addresses: Vec<Address>,
    },
    /// One Memcached server.
    Memcached {
        /// Where.
        address: Address,
    },
    /// A ZooKeeper ensemble.
    ZooKeeper {
        /// As whom.
        login: Login,
        /// Its servers.
        addresses: Vec<Address>,
        /// The node that everything is under, such as `/apps/locks`; empty for the root.
        chroot: String,
    },
    /// An etcd cluster.
    Etcd {
        /// Whether to speak TLS.
        tls: bool,
        /// As whom.
        login: Login,
        /// Its members.
        addresses: Vec<Address>,
    },
    /// Stores of any kind that vote.
    Quorum {
        /// The stores.
        members: Vec<StoreUrl>,
    },
}

/// A host and a port. An IPv6 address has no brackets here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct Address {
    /// Name or number.
    pub host: String,
    /// The store's usual one unless the URL names another.
    pub port: u16,
}

/// As whom to log in. Both are empty for nobody in particular.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Password,
}

/// A password: neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

/// What the query of a URL sets. `None` leaves the default.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Put before every name, so that tenants of one store do not meet.
    pub prefix: Option<String>,
    /// Which format to keep locks in: that of another library.
    pub dialect: Option<String>,
    /// The time to live of locks that do not name their own.
    pub ttl: Option<Duration>,
    /// How long to wait for an answer, and for how long to ask again.
    pub timeout: Option<Duration>,
    /// How many replicas must have a grant before it counts.
    pub min_replicas: Option<u32>,
    /// For stores that vote: the longest time to live, and how long one that may have forgotten has no vote.
    pub longest_lease: Option<Duration>,
    /// Whether a server whose configuration can lose locks is refused; otherwise it is warned of.
    pub strict: Option<bool>,
    /// A PEM file of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The version of the Redis protocol, 2 or 3.
    pub resp: Option<u32>,
    /// The key of a lock in the plain dialect, with `*` for its name.
    pub template: Option<String>,
}

impl StoreUrl {
    /// The longest URL in bytes.
    pub const BYTES_MAX: usize = 8192;

    /// Reads a URL. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind), naming the nearest known scheme or key. The message holds no password.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text)
    }

    /// The URL of an SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        StoreUrl { place: Place::Sqlite { path: path.into() }, settings: Settings::default() }
    }

    /// The scheme, such as `redis+sentinel`.
    pub fn scheme(&self) -> &'static str {
        self.place.scheme().label()
    }

    /// What the store can do; where its servers have a say in it, what it can do if they agree. No I/O.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// let capability = leasehold::StoreUrl::parse("sqlite:locks.db").unwrap().capability().unwrap();
    /// assert!(capability.fifo && capability.lock_delay);
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that is not built in or a dialect that is not spoken.
    pub fn capability(&self) -> Result<Capability> {
        capability::of(self)
    }

    /// The whole URL **with** its passwords. Never print it.
    pub fn reveal(&self) -> String {
        display::Redacted { url: self, secrets: true }.to_string()
    }
}

impl Password {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Password(text.into())
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "***" })
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        StoreUrl::parse(text)
    }
}

/// Without passwords.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&display::Redacted { url: self, secrets: false }, f)
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}
