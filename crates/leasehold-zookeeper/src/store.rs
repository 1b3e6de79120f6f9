//! [`ZooKeeperStore`]: the [`Store`] of ZooKeeper.

use std::{fmt, sync::Arc};

use leasehold_core::{
    Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing,
    Wake,
    store_kit::{ClientState, Explain, Verbs},
};

use crate::{
    client::Client,
    options::ZooKeeperOptions,
    server_info,
    verbs::{claim, inspect, list, release, renew},
    watcher,
};

/// A client of a ZooKeeper ensemble, with one session for all its locks.
///
/// Each request is sent at most once: when the reply is lost, the error says "it may have taken effect", and the engine
/// asks again by the claim's id.
pub struct ZooKeeperStore {
    pub(crate) client: Arc<Client>,
}

impl ZooKeeperStore {
    /// A client of this ensemble. No I/O: the first operation connects. Where the servers grant shorter sessions than
    /// [`ZooKeeperOptions::session`], leases are shorter than requested.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options.
    pub fn new(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let client = Client::new(&options, env.clone()).explain_store("connect", &options.url)?;
        Ok(ZooKeeperStore::over(client, &env))
    }

    /// A client that is connected: the longest time to live is negotiated with the servers
    /// ([`Capability::ttl_max`](leasehold_core::Capability::ttl_max)).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options, `Unreachable` when no member serves,
    /// `Rejected` for a login that is not accepted. Nothing is written.
    ///
    /// # Cancel safety
    /// Cancel safe: a session that is made too late is closed at once.
    pub async fn open(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let client = Client::open(&options, env.clone()).await.explain_store("connect", &options.url)?;
        Ok(ZooKeeperStore::over(client, &env))
    }

    fn over(client: Client, env: &Env) -> Self {
        let client = Arc::new(client);
        let (weak, own_claims) = (Arc::downgrade(&client), client.own_claims.clone());
        env.spawn(release::release_expired(weak, own_claims, env.clone()));
        ZooKeeperStore { client }
    }
}

impl Verbs for ZooKeeperStore {
    fn state(&self) -> &ClientState {
        &self.client.session.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.client).await
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
        match interest {
            // The answer to the claim sets the watch.
            Interest::Turn(id) => Ok(Box::new(self.client.subscribe(id).await)),
            Interest::Changes => {
                let live = self.client.session.ready().await?;
                Ok(Box::new(watcher::changes(&self.client, &live, name).await?))
            }
        }
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        inspect::inspect(&self.client, name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        list::list(&self.client, prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        inspect::force_release(&self.client, name).await
    }

    async fn close(&self) -> Result<()> {
        self.client.session.close().await;
        Ok(())
    }
}

impl fmt::Debug for ZooKeeperStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ZooKeeperStore").field(&self.client.session.state.url).finish()
    }
}
