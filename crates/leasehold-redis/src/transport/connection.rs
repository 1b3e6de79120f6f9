//! [`Connector`]: address, credentials, protocol and TLS of a server.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use leasehold_core::{
    Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{Access, Secrets},
};
use redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    aio::{AsyncPushSender, MultiplexedConnection, PubSub},
};
#[cfg(feature = "redis-1")]
use redis::{Client, ConnectionAddr};

use super::{names::ChosenAddresses, stream};
#[cfg(feature = "redis-1")]
use super::{names::Resolved, shared::SharedConnection};
use crate::{
    error::ServerError,
    options::{Dialect, Endpoint, Protocol, RedisOptions},
};

/// The hint for a Sentinel that refuses a login.
pub(crate) const SENTINEL_LOGIN: &str =
    "a Sentinel has a login of its own: sentinel_user=NAME and sentinel_password_file=PATH";

/// Connects to the servers of a store.
pub(crate) struct Connector {
    pub(crate) env: Env,
    pub(crate) revalidations: Revalidations,
    pub(crate) options: RedisOptions,
    /// Set when a server does not know RESP3, or the options want none.
    pub(super) resp2: AtomicBool,
    pub(super) chosen: ChosenAddresses,
    is_of_sentinels: bool,
    #[cfg(feature = "redis-1")]
    pub(super) given: Option<Given>,
}

/// A client or a connection of the caller's.
#[cfg(feature = "redis-1")]
pub(crate) enum Given {
    /// Address, transport and TLS of a client.
    Client(redis::ConnectionInfo),
    Connection(SharedConnection),
}

impl Connector {
    pub(crate) fn new(options: RedisOptions, env: Env) -> Connector {
        Connector {
            env,
            revalidations: Revalidations::default(),
            resp2: AtomicBool::new(options.protocol == Protocol::Resp2),
            options,
            chosen: ChosenAddresses::default(),
            is_of_sentinels: false,
            #[cfg(feature = "redis-1")]
            given: None,
        }
    }

    /// Connects as the caller's own client does.
    #[cfg(feature = "redis-1")]
    pub(crate) fn given(client: &Client, mut options: RedisOptions, env: Env) -> Connector {
        let info = client.get_connection_info();
        options.access.tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        Connector { given: Some(Given::Client(info.clone())), ..Connector::new(options, env) }
    }

    /// Sends by a connection of the caller's.
    #[cfg(feature = "redis-1")]
    pub(crate) fn shared(connection: SharedConnection, options: RedisOptions, env: Env) -> Connector {
        Connector { given: Some(Given::Connection(connection)), ..Connector::new(options, env) }
    }

    /// The same for Sentinels.
    pub(crate) fn for_sentinels(&self) -> Connector {
        let Access { tls, ca, cert, key, .. } = self.options.access.clone();
        let same_tls = || Access { tls, ca, cert, key, ..Access::default() };
        let access = self.options.sentinel_access.clone().unwrap_or_else(same_tls);
        let options = RedisOptions {
            access,
            database: 0,
            membership: None,
            protocol: Protocol::Resp2,
            ..self.options.clone()
        };
        Connector { is_of_sentinels: true, ..Connector::new(options, self.env.clone()) }
    }

    /// Whether RESP3 is used, as far as is known.
    pub(crate) fn speaks_resp3(&self) -> bool {
        !self.resp2.load(Ordering::Relaxed)
    }

    /// Whether claims go by the clock of their server.
    pub(crate) fn keeps_clock(&self) -> bool {
        let draws_tokens = matches!(self.options.dialect, Dialect::Native | Dialect::Redisson);
        // A shared connection may lead to another server by now, with another clock.
        draws_tokens && !self.is_of_sentinels && !self.options.is_shared
    }

    fn protocol(&self) -> ProtocolVersion {
        if self.speaks_resp3() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 }
    }

    /// The login and the database.
    pub(super) fn settings(&self, secrets: &Secrets) -> RedisConnectionInfo {
        let RedisOptions { access, database, .. } = &self.options;
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(*database))
            .set_protocol(self.protocol())
            .set_skip_set_lib_name();
        if !access.user.is_empty() {
            settings = settings.set_username(&access.user);
        }
        if !secrets.password.is_empty() {
            settings = settings.set_password(secrets.password.reveal());
        }
        settings
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
        let pushes = &pushes;
        let attempt = |secrets: Secrets| async move {
            loop {
                let newest = self.speaks_resp3();
                // Without the library's timeouts, whose clock stands still in suspend.
                let config =
                    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
                let config = if newest { config.set_push_sender(pushes.clone()) } else { config };
                match self.multiplexed(endpoint, address, &secrets, config).await {
                    Err(error) if newest && lacks_resp3(&error) => self.resp2.store(true, Ordering::Relaxed),
                    connected => return connected.map_err(|error| self.explain(&error)),
                }
            }
        };
        self.options.access.connect(attempt).await
    }

    async fn multiplexed(
        &self,
        endpoint: &Endpoint,
        address: Option<SocketAddr>,
        secrets: &Secrets,
        config: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        #[cfg(feature = "redis-1")]
        if let Some(client) = self.given_client()? {
            let config = match address {
                Some(address) => config.set_dns_resolver(Resolved(address)),
                None => config,
            };
            return client.get_multiplexed_async_connection_with_config(&config).await;
        }
        let stream = stream::open(endpoint, address, &self.options.access, secrets).await?;
        let settings = self.settings(secrets);
        let (mut connection, driver) =
            MultiplexedConnection::new_with_config(&settings, stream, config).await?;
        // It ends with the connection, which belongs to this runtime.
        tokio::runtime::Handle::current().spawn(driver);
        if self.options.access.tls && !self.speaks_resp3() {
            // A server refuses a certificate after the handshake. An error reply shows that it did not.
            let answer = connection.send_packed_command(&redis::cmd("PING")).await;
            answer.map(drop).or_else(|error| error.code().map(drop).ok_or(error))?;
        }
        Ok(connection)
    }

    /// Connects for subscriptions by RESP2.
    pub(crate) async fn connect_pubsub(&self, endpoint: &Endpoint) -> Result<PubSub> {
        let address = self.resolve(endpoint).await?;
        let attempt = |secrets: Secrets| async move {
            let connected = self.subscriber(endpoint, address, &secrets).await;
            connected.map_err(|error| self.explain(&error))
        };
        self.options.access.connect(attempt).await
    }

    async fn subscriber(
        &self,
        endpoint: &Endpoint,
        address: Option<SocketAddr>,
        secrets: &Secrets,
    ) -> RedisResult<PubSub> {
        #[cfg(feature = "redis-1")]
        if let Some(client) = self.given_client()? {
            return client.get_async_pubsub().await;
        }
        let stream = stream::open(endpoint, address, &self.options.access, secrets).await?;
        PubSub::new(&self.settings(secrets), stream).await
    }

    /// Whether redis-rs connects: for TLS, and as a client of the caller's does.
    pub(super) fn is_for_library(&self) -> bool {
        #[cfg(feature = "redis-1")]
        if self.given.is_some() {
            return true;
        }
        self.options.access.tls
    }

    /// The caller's client, with our protocol.
    #[cfg(feature = "redis-1")]
    fn given_client(&self) -> RedisResult<Option<Client>> {
        let Some(Given::Client(info)) = &self.given else { return Ok(None) };
        // The crate leaves the cryptography of TLS to the program. This fails if the program has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = info.redis_settings().clone().set_protocol(self.protocol());
        Client::open(info.clone().set_redis_settings(settings)).map(Some)
    }

    /// The failure to reach a server. It never shows a password: the library's own text is used only where it has none.
    pub(crate) fn explain(&self, error: &RedisError) -> Error {
        let access = &self.options.access;
        if error.kind() == redis::ErrorKind::AuthenticationFailed {
            let detail = error.detail().unwrap_or("authentication failed");
            let hint = match access.prefix {
                "" => "check user and password: redis://user:password@host, or password_file=PATH",
                _ => SENTINEL_LOGIN,
            };
            return Error::new(ErrorKind::Rejected, format!("the server refuses the login: {detail}"))
                .hint(hint);
        }
        if let Some(reply) = ServerError::of(error) {
            return reply.into();
        }
        let text = error.to_string();
        if let Some(error) = access.explain(&text) {
            return error;
        }
        Error::new(ErrorKind::Unreachable, text).hint("is the server running, and is the address right?")
    }
}

fn lacks_resp3(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::RESP3NotSupported
        || ServerError::of(error).is_some_and(|error| error.lacks_resp3())
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("tls", &self.options.access.tls).finish_non_exhaustive()
    }
}
