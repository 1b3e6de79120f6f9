//! [`MemcachedOptions`]: which server, and on what terms.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result};

/// Which server, and on what terms.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemcachedOptions {
    /// Name or number of the host; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// For how long one request is waited for, connecting included.
    pub timeout: Duration,
    /// Refuse a server that may evict locks, instead of warning.
    pub strict: bool,
    /// Do without compare-and-delete and renewal in place, as with servers before 1.6.13, where these are broken. Such
    /// servers are recognised without it.
    pub text_only: bool,
    /// What errors and `inspect` call the store.
    pub url: String,
}

impl MemcachedOptions {
    /// The defaults: 2 s, and a server that evicts is warned of.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = format!("memcached://{shown}:{port}");
        MemcachedOptions { host, port, timeout: Duration::from_secs(2), strict: false, text_only: false, url }
    }

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<()> {
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::Invalid, "a timeout of nothing").hint("the usual one is 2s"));
        }
        if self.host.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "no server is named").hint("memcached://host"));
        }
        Ok(())
    }
}
