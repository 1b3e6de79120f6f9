//! [`PostgresOptions`]: the servers, the login, TLS and time limits.

use std::{path::PathBuf, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Access, url::Address};
use tokio_postgres::config::{Config, SslMode, TargetSessionAttrs};

use crate::dialect::Dialect;

/// The servers, the login, TLS and time limits. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// One server and its standbys, the database and the settings of sessions. Login, TLS and time limits are those below.
    pub config: Config,
    /// The login and the TLS settings.
    pub access: Access,
    /// A file of libpq's form with passwords, such as `~/.pgpass`, for a login without one.
    pub passfile: Option<PathBuf>,
    /// Whether the address is that of a pooler in transaction mode: it loses notifications, so waiters ask again and again.
    pub is_pooled: bool,
    /// Whether it is a member of a quorum, and so has to say for how long it has forgotten nothing.
    pub(crate) is_member: bool,
    pub(crate) dialect: Dialect,
    /// The time limit of one request, connecting included.
    pub timeout: Duration,
    /// The URL without secrets that names the store in errors.
    pub url: String,
}

impl PostgresOptions {
    /// The defaults: the first server that takes writes, no login, no TLS, 2 s.
    pub fn new(hosts: Vec<Address>) -> Self {
        let all: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut config = Config::new();
        config.target_session_attrs(TargetSessionAttrs::ReadWrite).application_name("leasehold");
        for Address { host, port } in &hosts {
            config.host(host).port(*port);
        }
        PostgresOptions {
            url: format!("postgres://{}", all.join(",")),
            config,
            access: Access::default(),
            passfile: None,
            is_pooled: false,
            is_member: false,
            dialect: Dialect::Native,
            timeout: Duration::from_secs(2),
        }
    }

    /// Refuses options that contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.config.get_hosts().is_empty() {
            return invalid("neither a host nor a socket", "name either");
        }
        if self.timeout.is_zero() {
            return invalid("the timeout is zero", "the default is 2s");
        }
        self.access.check_user()?;
        self.access.check()
    }

    /// The configuration of a connection; the password is added when it is made.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.config.clone();
        if !self.access.user.is_empty() {
            config.user(&self.access.user);
        }
        config
            .ssl_mode(if self.access.tls { SslMode::Require } else { SslMode::Disable })
            .connect_timeout(self.timeout)
            .tcp_user_timeout(self.timeout * 2);
        config
    }
}
