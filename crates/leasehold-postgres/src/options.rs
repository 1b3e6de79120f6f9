//! [`PostgresOptions`]: the servers, the login, TLS and time limits.

use std::{path::PathBuf, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Access, url::Address};
use tokio_postgres::config::{Config, SslMode, TargetSessionAttrs};

use crate::dialect::Dialect;

/// The servers, the login, TLS and time limits. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The addresses of one server and its standbys. The first that fits `any_server` is used.
    pub hosts: Vec<Address>,
    /// The directory of a Unix socket instead of hosts, and the port in the socket's name.
    pub socket: Option<(PathBuf, u16)>,
    /// The database; the user's name where it is empty.
    pub database: String,
    /// The login and the TLS settings.
    pub access: Access,
    /// A file of libpq's form with passwords, such as `~/.pgpass`, for a login without one.
    pub passfile: Option<PathBuf>,
    /// Whether a server that takes no writes will do, as for a diagnosis.
    pub any_server: bool,
    /// Whether the address is that of a pooler in transaction mode: it loses notifications, so waiters ask again and again.
    pub is_pooled: bool,
    /// The format of locks.
    pub(crate) dialect: Dialect,
    /// The time limit of one request, connecting included.
    pub timeout: Duration,
    /// The URL without secrets that names the store in errors.
    pub url: String,
}

impl PostgresOptions {
    /// The defaults: no login, no TLS, 2 s.
    pub fn new(hosts: Vec<Address>) -> Self {
        let all: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        PostgresOptions {
            url: format!("postgres://{}", all.join(",")),
            hosts,
            socket: None,
            database: String::new(),
            access: Access::default(),
            passfile: None,
            any_server: false,
            is_pooled: false,
            dialect: Dialect::Native,
            timeout: Duration::from_secs(2),
        }
    }

    /// Refuses options that contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if self.hosts.is_empty() == self.socket.is_none() {
            return invalid("neither a host nor a socket, or both", "name either");
        }
        if self.timeout.is_zero() {
            return invalid("the timeout is zero", "the default is 2s");
        }
        self.access.check_user()?;
        self.access.check()
    }

    /// The configuration of a connection; the password is added when it is made.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        for Address { host, port } in &self.hosts {
            config.host(host).port(*port);
        }
        if let Some((directory, port)) = &self.socket {
            config.host_path(directory).port(*port);
        }
        if !self.access.user.is_empty() {
            config.user(&self.access.user);
        }
        if !self.database.is_empty() {
            config.dbname(&self.database);
        }
        config.ssl_mode(if self.access.tls { SslMode::Require } else { SslMode::Disable });
        if !self.any_server {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.application_name("leasehold").connect_timeout(self.timeout).tcp_user_timeout(self.timeout * 2);
        config
    }
}
