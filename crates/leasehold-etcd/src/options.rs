//! [`EtcdOptions`]: the members, the login, TLS and time limits.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, store_kit::Access, url::Address};

/// The members of a cluster, the login, TLS and time limits. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EtcdOptions {
    /// Client addresses of members of one cluster. Any of them serves; another is used when one does not answer.
    pub endpoints: Vec<Address>,
    /// The login and the TLS settings; the user is empty where authentication is not enabled.
    pub access: Access,
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
    pub fn new(endpoints: Vec<Address>) -> Self {
        let all: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        EtcdOptions {
            url: format!("etcd://{}", all.join(",")),
            endpoints,
            access: Access::default(),
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
        self.access.check_user()?;
        self.access.check()
    }
}
