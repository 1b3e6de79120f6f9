//! [`ZooKeeperStore`]: the [`Store`] of ZooKeeper.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake, store_kit::Explain,
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
    url: String,
}

impl ZooKeeperStore {
    /// A client of this ensemble. No I/O: the first operation connects. Where the servers grant shorter sessions than
    /// [`ZooKeeperOptions::session`], leases are shorter than requested.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options.
    pub fn new(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let client = Client::new(&options, env.clone()).explain_store("connect", &options.url)?;
        Ok(ZooKeeperStore::over(client, options, &env))
    }

    /// A client that is connected: the longest time to live is negotiated with the servers
    /// ([`Capability::ttl_max`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options, `Unreachable` when no member serves,
    /// `Rejected` for a login that is not accepted. Nothing is written.
    ///
    /// # Cancel safety
    /// Cancel safe: a session that is made too late is closed at once.
    pub async fn open(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let client = Client::open(&options, env.clone()).await.explain_store("connect", &options.url)?;
        Ok(ZooKeeperStore::over(client, options, &env))
    }

    fn over(client: Client, options: ZooKeeperOptions, env: &Env) -> Self {
        let client = Arc::new(client);
        let (weak, own_claims) = (Arc::downgrade(&client), client.own_claims.clone());
        env.spawn(release::release_expired(weak, own_claims, env.clone()));
        ZooKeeperStore { client, url: options.url }
    }

    async fn watch_now(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.client.session.check_open()?;
        match interest {
            // The answer to the claim sets the watch.
            Interest::Turn(id) => Ok(Box::new(self.client.subscribe(id).await)),
            Interest::Changes => {
                let live = self.client.session.ready().await?;
                Ok(Box::new(watcher::changes(&self.client, &live, name).await?))
            }
        }
    }
}

impl Store for ZooKeeperStore {
    fn capability(&self) -> &Capability {
        &self.client.capability
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            server_info::server_info(&self.client).await.explain_store("server_info", &self.url)
        })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.client.session.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(
            async move { claim::claim(&self.client, claim).await.explain("claim", &claim.name, &self.url) },
        )
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let answers = renew::renew(&self.client, claims).await.into_iter().zip(claims);
            answers.map(|(answer, claim)| answer.explain("renew", &claim.name, &self.url)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move {
            release::release(&self.client, claim).await.explain("release", &claim.name, &self.url)
        })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.watch_now(name, interest).await.explain("watch", name, &self.url) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(
            async move { inspect::inspect(&self.client, name).await.explain("inspect", name, &self.url) },
        )
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(
            async move { list::list(&self.client, prefix, limit).await.explain_store("list", &self.url) },
        )
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let forced = inspect::force_release(&self.client, name).await;
            forced.explain("force_release", name, &self.url)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.client.session.close().await;
            Ok(())
        })
    }
}

impl fmt::Debug for ZooKeeperStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ZooKeeperStore").field(&self.url).finish()
    }
}
