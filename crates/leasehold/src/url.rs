//! [`StoreUrl`]: the URL of a store: which store, where, and with which options.

#[cfg(all(test, feature = "all-stores"))]
mod tests;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use leasehold_core::{Capability, Env, Error, Result, Store, backend::Backend};

pub use leasehold_core::url::{Address, Credentials, ParsedUrl, Password, UrlOptions};

use crate::backends::{self, BACKENDS};

/// The URL of a store: which store, where, and with which options.
///
/// | URL | store |
/// |---|---|
/// | `memory:` `memory:NAME` | the memory of this process; clients of one name share their locks |
/// | `sqlite:PATH` | a file, shared by the processes of one machine |
/// | `redis://[user:password@]host[:port][/database]` | one Redis server; `rediss://` over TLS |
/// | `redis+unix://PATH` | one Redis server, by its socket |
/// | `redis+sentinel://h1,h2,h3/master[/database]` | the master that Sentinel names |
/// | `redis+cluster://h1,h2` | a Redis Cluster, found through any of its nodes |
/// | `redlock://h1,h2,h3` | a majority of independent Redis servers; `redlocks://` over TLS |
/// | `memcached://host` | one Memcached server |
/// | `zookeeper://h1,h2[/chroot]` | a ZooKeeper ensemble; `zookeepers://` over TLS |
/// | `etcd://h1,h2` | an etcd cluster; `etcds://` over TLS |
/// | `postgres://[user:password@]host[:port][/database]` | a PostgreSQL database |
/// | `quorum:URL;URL;URL[;?query]` | a majority of any stores |
///
/// Query: `prefix=` before every name, `ttl=` and `timeout=` (durations such as `30s`, `500ms`, `2m`); for Redis also
/// `dialect=plain` with `template=redlock:*`, `dialect=redisson`, `dialect=spring` with `template=REGISTRY:*`, `min_replicas=`, `strict=true` (for Memcached too) and
/// `resp=2`; for PostgreSQL `dialect=advisory` and `dialect=shedlock`; for quorums `longest_lease=` (`timeout=` is for each member there). Where there is a login, `password_file=PATH`; over TLS `ca=PATH`,
/// `cert=PATH`, `key=PATH` and, except for ZooKeeper, `server_name=NAME`; the same after `sentinel_` for Sentinels, with `sentinel_user=`,
/// `sentinel_password=` and `sentinel_tls=`. Files are read again for each connection. `file:` means `sqlite:`, `mem:`
/// `memory:`, `zk:` `zookeeper:` and `valkey:` `redis:`. Special characters are percent-encoded.
///
/// `Debug` and `Display` never show a password; [`StoreUrl::reveal`] does.
///
/// ```
/// # #[cfg(feature = "redis")] {
/// use leasehold::url::StoreUrl;
/// let url: StoreUrl = "redis://app:s3cret@db?ttl=10s".parse().unwrap();
/// assert_eq!(url.to_string(), "redis://app:***@db:6379?ttl=10s");
/// let error = StoreUrl::parse("redsi://db").unwrap_err();
/// assert!(error.to_string().contains("did you mean `redis`?"));
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(pub(crate) ParsedUrl);

impl StoreUrl {
    /// Reads a URL. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind), naming the nearest known scheme or key;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that is not built in. The message holds no password.
    pub fn parse(text: &str) -> Result<Self> {
        ParsedUrl::parse(text, &BACKENDS).map(StoreUrl).map_err(|error| match guess(text) {
            Some(url) => error.hint(format!("did you mean `{url}`?")),
            None => error,
        })
    }

    /// The URL of an SQLite file.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) without the feature `sqlite`.
    pub fn sqlite(path: impl Into<PathBuf>) -> Result<Self> {
        let (_, scheme) = BACKENDS.find("sqlite", true)?;
        Ok(StoreUrl(ParsedUrl::new(scheme).with_file(&path.into())))
    }

    /// The same URL with a prefix before every lock name.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.0.options = self.0.options.with("prefix", prefix);
        self
    }

    /// The scheme, such as `redis+sentinel`.
    pub fn scheme(&self) -> &'static str {
        self.0.scheme.name
    }

    /// User and password; both empty for anonymous access.
    pub fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// The options of the query.
    pub fn options(&self) -> &UrlOptions {
        &self.0.options
    }

    /// The capability of the store; where it depends on the servers, the one they have if they agree. No I/O.
    ///
    /// ```
    /// let capability = leasehold::url::StoreUrl::parse("memory:").unwrap().capability().unwrap();
    /// assert!(capability.fifo && capability.lock_delay);
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for an unknown dialect.
    pub fn capability(&self) -> Result<Capability> {
        (self.backend()?.capability)(&self.0)
    }

    /// Whether other processes cannot see its locks: `memory:`, and a quorum with such a member.
    pub fn is_process_local(&self) -> bool {
        let is_memory = |url: &ParsedUrl| url.scheme.name == "memory";
        is_memory(&self.0) || self.0.members.iter().any(is_memory)
    }

    /// The whole URL **with** its passwords. Never print it.
    pub fn reveal(&self) -> String {
        self.0.reveal()
    }

    pub(crate) fn backend(&self) -> Result<&'static Backend> {
        BACKENDS.find(self.scheme(), true).map(|(backend, _)| backend)
    }

    /// Opens the store, to be put into a [layer](crate::layer); [`Client::connect`](crate::Client::connect) does it for others. The
    /// `ttl` and the `timeout` of the URL are options of locks, and not the store's.
    ///
    /// # Errors
    /// As [`Client::connect`](crate::Client::connect).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(&self, env: &Env) -> Result<Arc<dyn Store>> {
        backends::open(self.backend()?, &self.0, None, env).await
    }
}

/// The URL that was meant by an address or the name of a file.
fn guess(text: &str) -> Option<String> {
    let port =
        text.split_once(':').filter(|_| !text.contains('@')).and_then(|(_, port)| port.parse::<u16>().ok());
    let scheme = match port {
        Some(11_211) => "memcached://",
        Some(2181) => "zookeeper://",
        Some(2379) => "etcd://",
        Some(5432) => "postgres://",
        Some(_) => "redis://",
        None if text.is_empty() || text.contains([':', '@', '?']) => return None,
        None => "sqlite:",
    };
    Some(format!("{scheme}{text}"))
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        StoreUrl::parse(text)
    }
}

impl TryFrom<&str> for StoreUrl {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        StoreUrl::parse(text)
    }
}

impl TryFrom<&String> for StoreUrl {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self> {
        StoreUrl::parse(text)
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        StoreUrl::parse(&text)
    }
}

impl From<&StoreUrl> for StoreUrl {
    fn from(url: &StoreUrl) -> Self {
        url.clone()
    }
}

/// Without passwords.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}
