//! [`ZooKeeperOptions`]: servers, login, layout and time limits.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, store_kit::Access, url::Address};

use crate::{dialect::ZooKeeperDialect, transport};

/// The servers of an ensemble, and how they are used. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZooKeeperOptions {
    /// Client addresses of members of one ensemble; any of them will do.
    pub servers: Vec<Address>,
    /// The node under which all locks are: `/apps/locks`, or nothing for the root. Made when it is not there.
    pub chroot: String,
    /// The login of the scheme `digest` and the TLS settings; without a user access is anonymous. The nodes belong to user
    /// and password only. The files are read for each session, those of certificates for each connection. A server has to
    /// have a certificate for its name in `servers`: the client library knows no `server_name`.
    pub access: Access,
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
        let all: Vec<String> = servers.iter().map(Address::to_string).collect();
        ZooKeeperOptions {
            url: format!("zookeeper://{}", all.join(",")),
            servers,
            chroot: String::new(),
            access: Access::default(),
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
        if self.access.server_name.is_some() {
            return invalid(
                "`server_name` cannot be set for ZooKeeper",
                "use a name of the certificate as the address",
            );
        }
        if self.access.tls && !self.servers.iter().all(|server| transport::server_name(server).is_some()) {
            return invalid("no certificate can be for this host name", "use another name of the server");
        }
        self.access.check_user()?;
        self.access.check()
    }
}
