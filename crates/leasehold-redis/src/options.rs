//! [`RedisOptions`]: servers, credentials and settings.

use std::{fmt, path::PathBuf, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Access, url::Address};

/// The address of a server.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Endpoint {
    /// A host and a port.
    Tcp(Address),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// A host and a port.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Endpoint::Tcp(Address::new(host, port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The arrangement of the servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Servers {
    /// One server, with or without replicas.
    Single(Endpoint),
    /// The master that Sentinels name.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<Endpoint>,
        /// The name of the master in their configuration.
        master: String,
    },
    /// A Cluster, found through any of its nodes.
    Cluster(Vec<Endpoint>),
}

/// The format of locks on the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Leasehold's own: all modes, queues, fencing tokens. Other libraries see exclusive holds.
    Native,
    /// `SET NX PX` and compare-and-delete alone, as in some twenty other libraries.
    Plain {
        /// The key of a lock, with `*` for its name: `redlock:*`. Just `*` is the name itself.
        template: String,
    },
    /// Spring's `RedisLockRegistry`: as plain, and a release is announced to those who wait in its `PUB_SUB_LOCK`.
    Spring {
        /// The key of the registry, with which all of its keys begin.
        registry: String,
    },
    /// Redisson's `RLock`, `RFencedLock`, `RReadWriteLock` and `RPermitExpirableSemaphore`: no queue.
    Redisson,
}

/// The version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// RESP3, or RESP2 if the server does not have it.
    Newest,
    /// RESP2: without wake-ups by invalidation.
    Resp2,
}

pub use leasehold_core::backend::QuorumMembership;

/// Servers, credentials and settings. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisOptions {
    /// The servers.
    pub servers: Servers,
    /// The login, with the ACL user, and the TLS settings.
    pub access: Access,
    /// Those for Sentinels; `None` for the same TLS settings without a login.
    pub sentinel_access: Option<Access>,
    /// The database; 0 in a Cluster.
    pub database: u32,
    /// The format of locks on the server.
    pub dialect: Dialect,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// The longest wait for one request, including the connection.
    pub timeout: Duration,
    /// The number of replicas that must confirm a grant or a renewal before it counts.
    pub min_replicas: u32,
    /// The quorum of which the server is a member.
    pub membership: Option<QuorumMembership>,
    /// Whether a server whose configuration can lose locks is refused instead of warned about.
    pub strict: bool,
    /// The name of the store in errors and `inspect`: a URL without secrets.
    pub url: String,
    /// Requests go by a connection of the program's, on which no wake-ups come.
    pub(crate) is_shared: bool,
}

impl RedisOptions {
    /// The defaults: native, newest protocol, 2 s.
    pub fn new(servers: Servers) -> Self {
        let url = match &servers {
            Servers::Single(Endpoint::Unix(path)) => format!("redis+unix://{}", path.display()),
            Servers::Single(endpoint) => format!("redis://{endpoint}"),
            Servers::Sentinel { sentinels, master } => {
                format!("redis+sentinel://{}/{master}", list(sentinels))
            }
            Servers::Cluster(nodes) => format!("redis+cluster://{}", list(nodes)),
        };
        RedisOptions {
            servers,
            access: Access::default(),
            sentinel_access: None,
            database: 0,
            dialect: Dialect::Native,
            protocol: Protocol::Newest,
            timeout: Duration::from_secs(2),
            min_replicas: 0,
            membership: None,
            strict: false,
            url,
            is_shared: false,
        }
    }
}

impl RedisOptions {
    /// Refuses options that contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if let Dialect::Plain { template } = &self.dialect
            && template.matches('*').count() != 1
        {
            return invalid(
                "the template of keys needs one `*` for the name",
                "for example template=redlock:*",
            );
        }
        if let Dialect::Spring { registry } = &self.dialect
            && registry.is_empty()
        {
            return invalid("the registry of Spring has no key", "for example template=locks:*");
        }
        if self.timeout.is_zero() {
            return invalid("a timeout of zero", "the usual one is 2s");
        }
        if matches!(&self.servers, Servers::Cluster(_)) && self.database != 0 {
            return invalid("a Cluster has database 0 and no other", "leave the number out");
        }
        if self.membership.is_some()
            && (self.dialect != Dialect::Native || matches!(&self.servers, Servers::Cluster(_)))
        {
            return invalid(
                "a member of a quorum speaks the native dialect and is no Cluster",
                "a Cluster's nodes share what they lose: name independent servers",
            );
        }
        if self.is_shared && (self.membership.is_some() || self.min_replicas > 0) {
            return invalid(
                "a quorum, and replicas that confirm, need connections of their own",
                "hand in the redis::Client, or name the URL",
            );
        }
        let none = match &self.servers {
            Servers::Single(_) => false,
            Servers::Sentinel { sentinels, .. } => sentinels.is_empty(),
            Servers::Cluster(seeds) => seeds.is_empty(),
        };
        if none {
            return invalid("no server is named", "name at least one");
        }
        self.sentinel_access.as_ref().map_or(Ok(()), Access::check)?;
        self.access.check()
    }
}

fn list(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
