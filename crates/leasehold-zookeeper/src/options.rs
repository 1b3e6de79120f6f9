//! [`ZooKeeperOptions`]: which servers, as whom, and on what terms.

use std::{fmt, time::Duration};

use leasehold_core::{Error, ErrorKind, Result};

use crate::node_name::Dialect;

/// Which servers, as whom, and on what terms. `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct ZooKeeperOptions {
    /// `host:port` of the members; any of them will do.
    pub servers: Vec<String>,
    /// The node under which all locks are: `/apps/locks`, or nothing for the root. Made when it is not there.
    pub chroot: String,
    /// The user of the scheme `digest`; empty for nobody. What is made then belongs to that user alone.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// In whose layout locks are kept.
    pub dialect: Dialect,
    /// For how long the servers keep what belongs to a client that they do not hear of. They bind it to a range of their
    /// own: 2 to 20 ticks, which is 4 s to 40 s unless configured otherwise. The longest time to live of a lock.
    pub session: Duration,
    /// For how long one request is waited for, connecting included.
    pub timeout: Duration,
    /// What errors and `inspect` call the store: a URL without secrets.
    pub url: String,
}

impl ZooKeeperOptions {
    /// The defaults: the root, nobody, a session of 30 s, 5 s for a request.
    pub fn new(servers: Vec<String>) -> Self {
        let url = format!("zookeeper://{}", servers.join(","));
        ZooKeeperOptions {
            servers,
            chroot: String::new(),
            user: String::new(),
            password: String::new(),
            dialect: Dialect::Curator,
            session: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            url,
        }
    }

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.servers.is_empty() {
            return invalid("no server is named", "name at least one");
        }
        if self.timeout.is_zero() || self.session.is_zero() {
            return invalid(
                "a timeout of nothing",
                "the usual ones are 5s for a request and 30s for a session",
            );
        }
        if !self.chroot.is_empty() && !self.chroot.starts_with('/') {
            return invalid("a chroot is an absolute path", "for example /apps/locks");
        }
        Ok(())
    }
}

impl fmt::Debug for ZooKeeperOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperOptions")
            .field("url", &self.url)
            .field("dialect", &self.dialect)
            .field("session", &self.session)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
