//! [`Connector`]: address, credentials, protocol and TLS of a server.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use leasehold_core::{Env, Error, ErrorKind, Result, Revalidations, url::Address};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisError, RedisResult, TlsCertificates,
    aio::{AsyncPushSender, MultiplexedConnection, PubSub},
    io::tcp::TcpSettings,
};

use super::names::{ChosenAddresses, Resolved};
use crate::{
    error::ServerError,
    options::{Endpoint, Protocol, RedisOptions},
};

/// Connects to the servers of a store.
pub(crate) struct Connector {
    pub(crate) env: Env,
    pub(crate) revalidations: Revalidations,
    pub(crate) options: RedisOptions,
    ca: Option<Vec<u8>>,
    /// Set when a server does not know RESP3, or the options want none.
    resp2: AtomicBool,
    pub(super) chosen: ChosenAddresses,
    /// Address, transport and TLS of the client that the caller has passed.
    #[cfg(feature = "redis-1")]
    given: Option<redis::ConnectionInfo>,
}

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`] when the authorities cannot be read.
    pub(crate) fn new(options: RedisOptions, env: Env) -> Result<Connector> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| {
                let message = format!("the authorities in {} cannot be read: {source}", path.display());
                Error::new(ErrorKind::Invalid, message)
            })
        };
        let ca = options.ca.as_ref().map(read).transpose()?;
        Ok(Connector::with(options, ca, env))
    }

    fn with(options: RedisOptions, ca: Option<Vec<u8>>, env: Env) -> Connector {
        Connector {
            env,
            revalidations: Revalidations::default(),
            ca,
            resp2: AtomicBool::new(options.protocol == Protocol::Resp2),
            options,
            chosen: ChosenAddresses::default(),
            #[cfg(feature = "redis-1")]
            given: None,
        }
    }

    /// Connects as the caller's own client does.
    #[cfg(feature = "redis-1")]
    pub(crate) fn given(client: &Client, mut options: RedisOptions, env: Env) -> Connector {
        let info = client.get_connection_info();
        options.tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        Connector { given: Some(info.clone()), ..Connector::with(options, None, env) }
    }

    /// The same without credentials, for Sentinels.
    pub(crate) fn without_login(&self) -> Connector {
        let mut options = RedisOptions { database: 0, membership: None, ..self.options.clone() };
        (options.user, options.password) = Default::default();
        options.protocol = Protocol::Resp2;
        Connector::with(options, self.ca.clone(), self.env.clone())
    }

    /// Whether RESP3 is used, as far as is known.
    pub(crate) fn speaks_resp3(&self) -> bool {
        !self.resp2.load(Ordering::Relaxed)
    }

    /// A client of one server.
    fn client(&self, endpoint: &Endpoint) -> Result<Client> {
        // The redis crate leaves the cryptography of TLS to the program. This fails if the program has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let invalid = |error| Error::new(ErrorKind::Invalid, format!("the settings make no client: {error}"));
        self.open(endpoint).map_err(invalid)
    }

    fn open(&self, endpoint: &Endpoint) -> RedisResult<Client> {
        let protocol = if self.speaks_resp3() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        #[cfg(feature = "redis-1")]
        if let Some(info) = &self.given {
            let settings = info.redis_settings().clone().set_protocol(protocol);
            return Client::open(info.clone().set_redis_settings(settings));
        }
        let RedisOptions { user, password, database, tls, .. } = &self.options;
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(*database))
            .set_protocol(protocol)
            .set_skip_set_lib_name();
        if !user.is_empty() {
            settings = settings.set_username(user);
        }
        if !password.is_empty() {
            settings = settings.set_password(password.reveal());
        }
        let address = match endpoint.clone() {
            Endpoint::Unix(path) => ConnectionAddr::Unix(path),
            Endpoint::Tcp(Address { host, port }) if *tls => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
            Endpoint::Tcp(Address { host, port }) => ConnectionAddr::Tcp(host, port),
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(tcp);
        match tls {
            true => {
                let certificates = TlsCertificates { client_tls: None, root_cert: self.ca.clone() };
                Client::build_with_tls(info, certificates)
            }
            false => Client::open(info),
        }
    }

    /// Connects, with RESP3 if the server knows it; then `pushes` receives the messages of the server. The current
    /// runtime drives the connection.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        pushes: impl AsyncPushSender + Clone,
    ) -> Result<MultiplexedConnection> {
        let address = self.resolve(endpoint).await?;
        self.connect_to(endpoint, address, pushes).await
    }

    /// Connects to one address of an endpoint.
    pub(super) async fn connect_to(
        &self,
        endpoint: &Endpoint,
        address: Option<SocketAddr>,
        pushes: impl AsyncPushSender + Clone,
    ) -> Result<MultiplexedConnection> {
        loop {
            let newest = self.speaks_resp3();
            // Without the library's timeouts, whose clock stands still in suspend.
            let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
            let config = if newest { config.set_push_sender(pushes.clone()) } else { config };
            let config = match address {
                Some(address) => config.set_dns_resolver(Resolved(address)),
                None => config,
            };
            match self.client(endpoint)?.get_multiplexed_async_connection_with_config(&config).await {
                Err(error) if newest && lacks_resp3(&error) => self.resp2.store(true, Ordering::Relaxed),
                connected => return connected.map_err(|error| self.explain(&error)),
            }
        }
    }

    /// Connects for subscriptions by RESP2.
    pub(crate) async fn connect_pubsub(&self, endpoint: &Endpoint) -> Result<PubSub> {
        let endpoint = match self.resolve(endpoint).await? {
            // A certificate names the host, not the address.
            Some(address) if !self.options.tls => Endpoint::tcp(address.ip().to_string(), address.port()),
            _ => endpoint.clone(),
        };
        self.client(&endpoint)?.get_async_pubsub().await.map_err(|error| self.explain(&error))
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
        if self.options.tls && (about_tls || error.kind() == redis::ErrorKind::InvalidClientConfig) {
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

fn lacks_resp3(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::RESP3NotSupported
        || error.code() == Some("NOPROTO")
        || error.to_string().to_ascii_lowercase().contains("unknown command")
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("tls", &self.options.tls).finish_non_exhaustive()
    }
}
