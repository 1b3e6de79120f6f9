//! [`EtcdOptions`]: which members, as whom, and on what terms.

use std::{fmt, path::PathBuf, time::Duration};

use leasehold_core::{Error, ErrorKind, Result};

/// Where a member listens for clients.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Name or number. An IPv6 address has no brackets here.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Endpoint { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Which members, as whom, and on what terms. `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct EtcdOptions {
    /// Cluster of one cluster; any of them will do, and another is asked when one does not answer.
    pub endpoints: Vec<Endpoint>,
    /// The user; empty where authentication is not enabled.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether to speak TLS.
    pub tls: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// For how long one request is waited for, connecting included.
    pub timeout: Duration,
    /// The shortest time to live. A cluster lengthens shorter leases to one and a half election timeouts, in whole
    /// seconds: 2 s as it comes. Say so here when its election timeout was changed.
    pub ttl_min: Duration,
    /// What errors and `inspect` call the store: a URL without secrets.
    pub url: String,
}

impl EtcdOptions {
    /// The defaults: no login, no TLS, 2 s.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        let all: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        EtcdOptions {
            url: format!("etcd://{}", all.join(",")),
            endpoints,
            user: String::new(),
            password: String::new(),
            tls: false,
            ca: None,
            timeout: Duration::from_secs(2),
            ttl_min: Duration::from_secs(2),
        }
    }

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.endpoints.is_empty() {
            return invalid("no member is named", "name at least one");
        }
        if self.timeout.is_zero() {
            return invalid("a timeout of nothing", "the usual one is 2s");
        }
        if self.ttl_min < Duration::from_secs(1) {
            return invalid("etcd's leases live for whole seconds", "the least is 1s");
        }
        if self.ca.is_some() && !self.tls {
            return invalid("an authority is of use with TLS alone", "set tls as well");
        }
        Ok(())
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdOptions");
        shown.field("url", &self.url).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
