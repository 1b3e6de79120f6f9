//! [`EtcdOptions`]: the members, the login, TLS and time limits.

use std::{fmt, path::PathBuf, time::Duration};

use leasehold_core::{Error, ErrorKind, Result};

/// The client address of a member.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EtcdEndpoint {
    /// The host name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl EtcdEndpoint {
    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        EtcdEndpoint { host: host.into(), port }
    }
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The members of a cluster, the login, TLS and time limits. `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct EtcdOptions {
    /// Members of one cluster. Any of them serves; another is used when one does not answer.
    pub endpoints: Vec<EtcdEndpoint>,
    /// The user; empty where authentication is not enabled.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether to speak TLS.
    pub tls: bool,
    /// A PEM file of certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The time limit of one request, connecting included.
    pub timeout: Duration,
    /// The shortest time to live. A cluster lengthens shorter leases to one and a half election timeouts, in whole
    /// seconds: 2 s by default. Change it here when the election timeout of the cluster was changed.
    pub ttl_min: Duration,
    /// The URL without secrets that names the store in errors.
    pub url: String,
}

impl EtcdOptions {
    /// The defaults: no login, no TLS, 2 s.
    pub fn new(endpoints: Vec<EtcdEndpoint>) -> Self {
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

    /// Refuses options that contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.endpoints.is_empty() {
            return invalid("no member is named", "name at least one");
        }
        if self.timeout.is_zero() {
            return invalid("the timeout is zero", "the default is 2s");
        }
        if self.ttl_min < Duration::from_secs(1) {
            return invalid("etcd leases last whole seconds", "the minimum is 1s");
        }
        if self.ca.is_some() && !self.tls {
            return invalid("a certificate authority needs TLS", "enable tls as well");
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
