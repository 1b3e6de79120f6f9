//! [`MemcachedOptions`]: address, timeout and strictness.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result};

/// The address of a server, and how it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemcachedOptions {
    /// Name or number of the host; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The time limit of one request, connecting included.
    pub timeout: Duration,
    /// Refuse a server that may evict locks, instead of warning.
    pub strict: bool,
    /// Use no compare-and-delete and no extension in place, as with servers before 1.6.13, where these are broken. Such
    /// servers are detected without this option.
    pub text_only: bool,
    /// The name of the store in errors and in `inspect`.
    pub url: String,
}

impl MemcachedOptions {
    /// The defaults: a time limit of 2 s; a server that evicts is logged.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let timeout = Duration::from_secs(2);
        let (host, url) = (host.into(), String::new());
        let options = MemcachedOptions { host, port, timeout, strict: false, text_only: false, url };
        MemcachedOptions { url: format!("memcached://{}", options.address()), ..options }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let is_ipv6 = self.host.contains(':');
        if is_ipv6 {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Refuses invalid options.
    pub(crate) fn check(&self) -> Result<()> {
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::Invalid, "the timeout is zero").hint("the usual one is 2s"));
        }
        if self.host.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the URL names no server").hint("memcached://host"));
        }
        Ok(())
    }
}
