//! [`RedisStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing,
    Wake,
    store_kit::{ClientState, Explain, Verbs},
};

use crate::{
    client::Client,
    config_check, doctor,
    options::RedisOptions,
    server_info,
    transport::connection::Connector,
    verbs::{claim, inspect, list, release, renew},
    waiters,
};

/// A client of Redis: one server, its replicas, Sentinel or Cluster.
///
/// Nothing is sent twice: a request whose reply was lost is an error that says "it may have taken effect", and the engine
/// asks again by the claim's id.
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) client: Arc<Client>,
}

impl RedisStore {
    /// A client of these servers, without I/O except for reading files of certificates and passwords: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind::Invalid) for options that contradict each other.
    pub fn new(options: RedisOptions, env: Env) -> Result<Self> {
        options.check()?;
        Ok(RedisStore { client: Arc::new(Client::new(Connector::new(options, env))) })
    }

    /// A client of one server that connects as `client` does, with its address, credentials and TLS.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind::Invalid) for options that contradict each other.
    #[cfg(feature = "redis-1")]
    pub fn with_client(client: &redis::Client, mut options: RedisOptions, env: Env) -> Result<Self> {
        use leasehold_core::{Error, ErrorKind};
        use redis::ConnectionAddr::{Tcp, TcpTls, Unix};
        let endpoint = match client.get_connection_info().addr() {
            Tcp(host, port) | TcpTls { host, port, .. } => crate::options::Endpoint::tcp(host, *port),
            Unix(path) => crate::options::Endpoint::Unix(path.clone()),
            _ => return Err(Error::new(ErrorKind::Invalid, "a client of an address of an unknown kind")),
        };
        options.url = format!("redis://{endpoint}");
        options.servers = crate::options::Servers::Single(endpoint);
        options.check()?;
        Ok(RedisStore { client: Arc::new(Client::new(Connector::given(client, options, env))) })
    }

    /// A client that sends its requests by a connection of the program's to one server, beside those of the program. `options` say how,
    /// and their `servers` and `url` are for messages alone.
    ///
    /// No wake-ups come on it: a waiter asks every 100 ms. `Client::with_redis_connection` of the crate `leasehold` says what else
    /// it lacks.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind::Invalid) for options that contradict each other, for a member of a quorum, and
    /// for replicas that have to confirm.
    #[cfg(feature = "redis-1")]
    pub fn with_connection(
        connection: impl Into<crate::SharedConnection>,
        mut options: RedisOptions,
        env: Env,
    ) -> Result<Self> {
        options.is_shared = true;
        options.check()?;
        let connector = Connector::shared(connection.into(), options, env);
        Ok(RedisStore { client: Arc::new(Client::new(connector)) })
    }

    /// The same as [`RedisStore::new`] with a check: the servers are reached, and their configuration is read. One that
    /// may evict locks causes a warning, or an error if `strict` is set.
    ///
    /// # Errors
    /// Those of [`RedisStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind),
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) for a login or certificate that is not accepted,
    /// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind) when strict. Nothing is written.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(options: RedisOptions, env: Env) -> Result<Self> {
        let store = RedisStore::new(options, env)?;
        config_check::check(&store.client).await.explain_store("connect", &store.client.state.url)?;
        Ok(store)
    }

    /// Gives a member of a quorum its vote at once, although it has just started or was emptied. The caller guarantees
    /// that nobody can hold anything on it, as on a new server.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](leasehold_core::ErrorKind) for a store that is not a member; those of the server.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn promote(&self) -> Result<()> {
        let promoted = async {
            self.client.state.check_open()?;
            self.client.send(0, server_info::promote()).await
        };
        promoted.await.explain_store("promote", &self.client.state.url)
    }

    /// Reads configuration and state of every master and reports what matters for locks, the worst first. Nothing is
    /// written. A value that the user may not read is a finding, and so is one of several masters that does not answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like when no master answers,
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<leasehold_core::Finding>> {
        doctor::diagnose(&self.client).await.explain_store("doctor", &self.client.state.url)
    }
}

impl Verbs for RedisStore {
    fn state(&self) -> &ClientState {
        &self.client.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        self.client.send(0, server_info::identify(self.client.options.membership.is_some())).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        claim::claim(&self.client, claim).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        renew::renew(&self.client, claims).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        release::release(&self.client, claim).await
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        waiters::watch(&self.client, name, interest).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        inspect::inspect(&self.client, name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        list::list(&self.client, prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        release::force_release(&self.client, name).await
    }

    async fn close(&self) -> Result<()> {
        self.client.close();
        Ok(())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.client.state.url).finish()
    }
}
