//! [`Connector`]: address, credentials, protocol and TLS of a server.

use std::{
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Error, ErrorKind, Result, url::Address};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisError, TlsCertificates, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use crate::{
    error::ServerError,
    options::{Endpoint, Protocol, RedisOptions},
    quorum_membership::QuorumMarker,
};

/// Connects to the servers of a store.
pub(crate) struct Connector {
    settings: RedisConnectionInfo,
    tls: bool,
    ca: Option<Vec<u8>>,
    timeout: Duration,
    marker: Option<QuorumMarker>,
    /// Set when a server does not know RESP3, or the options want none.
    resp2: AtomicBool,
    /// Address, transport and TLS of the client that the caller has passed.
    #[cfg(feature = "redis-1")]
    given: Option<redis::ConnectionInfo>,
}

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`] when the authorities cannot be read.
    pub(crate) fn new(options: &RedisOptions, database: u32) -> Result<Connector> {
        let ca = options.ca.as_ref().map(|path| {
            std::fs::read(path).map_err(|source| {
                Error::new(
                    ErrorKind::Invalid,
                    format!("the authorities in {} cannot be read: {source}", path.display()),
                )
            })
        });
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(database)).set_skip_set_lib_name();
        if !options.user.is_empty() {
            settings = settings.set_username(&options.user);
        }
        if !options.password.is_empty() {
            settings = settings.set_password(options.password.reveal());
        }
        Ok(Connector {
            settings,
            tls: options.tls,
            ca: ca.transpose()?,
            timeout: options.timeout,
            marker: options.membership.map(QuorumMarker::new),
            resp2: AtomicBool::new(options.protocol == Protocol::Resp2),
            #[cfg(feature = "redis-1")]
            given: None,
        })
    }

    /// Connects as the caller's own client does.
    #[cfg(feature = "redis-1")]
    pub(crate) fn given(client: &Client, options: &RedisOptions) -> Connector {
        let info = client.get_connection_info();
        Connector {
            settings: info.redis_settings().clone(),
            tls: matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            ca: None,
            timeout: options.timeout,
            marker: options.membership.map(QuorumMarker::new),
            resp2: AtomicBool::new(options.protocol == Protocol::Resp2),
            given: Some(info.clone()),
        }
    }

    /// The marker of a server that is a member of a quorum.
    pub(crate) fn marker(&self) -> Option<&QuorumMarker> {
        self.marker.as_ref()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether RESP3 is used, as far as is known.
    pub(crate) fn speaks_resp3(&self) -> bool {
        !self.resp2.load(Ordering::Relaxed)
    }

    /// The same without credentials, for Sentinels.
    pub(crate) fn without_login(&self) -> Connector {
        Connector {
            settings: RedisConnectionInfo::default().set_skip_set_lib_name(),
            tls: self.tls,
            ca: self.ca.clone(),
            timeout: self.timeout,
            marker: None,
            resp2: AtomicBool::new(true),
            #[cfg(feature = "redis-1")]
            given: None,
        }
    }

    /// A client of one server.
    pub(crate) fn client(&self, endpoint: &Endpoint) -> Result<Client> {
        install_tls();
        let protocol = if self.speaks_resp3() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let settings = self.settings.clone().set_protocol(protocol);
        #[cfg(feature = "redis-1")]
        if let Some(info) = &self.given {
            return Client::open(info.clone().set_redis_settings(settings)).map_err(|error| invalid(&error));
        }
        let address = match endpoint {
            Endpoint::Unix(path) => ConnectionAddr::Unix(path.clone()),
            Endpoint::Tcp(Address { host, port }) if self.tls => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Endpoint::Tcp(Address { host, port }) => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let info = address.into_connection_info().map_err(|error| invalid(&error))?;
        let info =
            info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if !self.tls {
            return Client::open(info).map_err(|error| invalid(&error));
        }
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: self.ca.clone() })
            .map_err(|error| invalid(&error))
    }

    /// Connects, with RESP3 if the server knows it; `config` makes a configuration for RESP3 or not. The current runtime
    /// drives the connection.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        config: impl Fn(bool) -> AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection> {
        let newest = self.speaks_resp3();
        let client = self.client(endpoint)?;
        match client.get_multiplexed_async_connection_with_config(&config(newest)).await {
            Ok(connection) => Ok(connection),
            Err(error) if newest && lacks_resp3(&error) => {
                self.resp2.store(true, Ordering::Relaxed);
                let client = self.client(endpoint)?;
                let older = client.get_multiplexed_async_connection_with_config(&config(false)).await;
                older.map_err(|error| self.explain(&error))
            }
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// The failure to reach a server. It never shows a password: the library's own text is used only where it has none.
    pub(crate) fn explain(&self, error: &RedisError) -> Error {
        if error.kind() == redis::ErrorKind::AuthenticationFailed {
            let detail = error.detail().unwrap_or("authentication failed");
            return Error::new(ErrorKind::Rejected, format!("the server refuses the login: {detail}"))
                .hint("check user and password: redis://user:password@host");
        }
        if let Some(reply) = ServerError::of(error) {
            return reply.into();
        }
        let text = error.to_string();
        let about_tls = text.contains("certificate") || text.contains("tls") || text.contains("TLS");
        if self.tls && (about_tls || error.kind() == redis::ErrorKind::InvalidClientConfig) {
            return Error::new(
                ErrorKind::Rejected,
                format!("the server's certificate is not accepted: {text}"),
            )
            .hint(
                "is the name in the URL one that the certificate names? name your own authority with ca=PATH",
            );
        }
        Error::new(ErrorKind::Unreachable, text).hint("is the server running, and is the address right?")
    }
}

fn invalid(error: &RedisError) -> Error {
    Error::new(ErrorKind::Invalid, format!("the settings make no client: {error}"))
}

fn lacks_resp3(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::RESP3NotSupported
        || error.to_string().to_ascii_lowercase().contains("unknown command")
}

/// Chooses the cryptography of TLS, which the redis crate leaves to the program, unless the program has chosen.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("tls", &self.tls).finish_non_exhaustive()
    }
}
