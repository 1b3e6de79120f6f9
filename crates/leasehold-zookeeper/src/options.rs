//! [`ZooKeeperOptions`]: servers, login, layout and time limits.

use std::time::Duration;

use leasehold_core::{
    Error, ErrorKind, Result,
    url::{Address, Password},
};

use crate::dialect::ZooKeeperDialect;

/// The addresses as the client library and a URL have them.
pub(crate) fn list(servers: &[Address]) -> String {
    let all: Vec<String> = servers.iter().map(Address::to_string).collect();
    all.join(",")
}

/// The servers of an ensemble, and how they are used. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZooKeeperOptions {
    /// Client addresses of members of one ensemble; any of them will do.
    pub servers: Vec<Address>,
    /// The node under which all locks are: `/apps/locks`, or nothing for the root. Made when it is not there.
    pub chroot: String,
    /// The user of the scheme `digest`; empty for anonymous access. The nodes then belong to that user only.
    pub user: String,
    /// The user's password.
    pub password: Password,
    /// The layout of the nodes.
    pub dialect: ZooKeeperDialect,
    /// The session timeout: the silence after which the servers delete the nodes of a client, and so the longest time to
    /// live of a lock. The servers limit it to a range of their own: 2 to 20 ticks, 4 s to 40 s by default.
    pub session: Duration,
    /// The time limit of one request, connecting included.
    pub timeout: Duration,
    /// The name of the store in errors and in `inspect`: a URL without secrets.
    pub url: String,
}

impl ZooKeeperOptions {
    /// The defaults: the root as chroot, anonymous, a session timeout of 30 s, 5 s for a request.
    pub fn new(servers: Vec<Address>) -> Self {
        ZooKeeperOptions {
            url: format!("zookeeper://{}", list(&servers)),
            servers,
            chroot: String::new(),
            user: String::new(),
            password: Password::default(),
            dialect: ZooKeeperDialect::Curator,
            session: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
        }
    }

    /// Refuses invalid options.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.servers.is_empty() {
            return invalid("the URL names no server", "name at least one");
        }
        if self.timeout.is_zero() || self.session.is_zero() {
            return invalid("a timeout is zero", "the usual ones are 5s for a request and 30s for a session");
        }
        if !self.chroot.is_empty() && !self.chroot.starts_with('/') {
            return invalid("a chroot is an absolute path", "for example /apps/locks");
        }
        Ok(())
    }
}
