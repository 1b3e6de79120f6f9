//! [`MemcachedOptions`]: address, timeout and strictness.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, url::Address};

/// The address of a server, and how it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemcachedOptions {
    /// The address of the server.
    pub address: Address,
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
        let address = Address::new(host, port);
        MemcachedOptions {
            url: format!("memcached://{address}"),
            address,
            timeout: Duration::from_secs(2),
            strict: false,
            text_only: false,
        }
    }

    /// Refuses invalid options.
    pub(crate) fn check(&self) -> Result<()> {
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::Invalid, "the timeout is zero").hint("the usual one is 2s"));
        }
        if self.address.host.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the URL names no server").hint("memcached://host"));
        }
        Ok(())
    }
}
